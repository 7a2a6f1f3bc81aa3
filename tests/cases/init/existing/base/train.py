import argparse
import random


def main():
    random.seed(0)
    with torch.autocast('cuda'):
        pass

if __name__ == "__main__":
    main()
