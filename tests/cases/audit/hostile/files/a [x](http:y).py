import torch
torch.load("</td><script>alert(1)</script>|`x`")  # audit: ignore[<b>x</b>,@everyone] ::error::no
torch.hub.load("evil/`repo`|<img src=x>", "m")
torch.hub.load("owner/name", "::stop-commands::x‮")
