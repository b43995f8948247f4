"""On the real data, where it is: ImageNet weights, and chest X-rays through the whole flow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from small_world import CPU, OTHER_TASK_SETTINGS

pytestmark = pytest.mark.real
