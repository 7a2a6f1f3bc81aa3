"""Mixed precision by config."""

import torch


def autocast(device: str, enabled: bool) -> torch.amp.autocast:
    """The autocast context for this device; does nothing unless enabled.

    bfloat16 has the exponent range of float32, so it needs no gradient scaler.
    """
    return torch.amp.autocast(
        device_type=torch.device(device).type, dtype=torch.bfloat16, enabled=enabled
    )
