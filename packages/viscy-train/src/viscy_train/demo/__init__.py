"""The whole path in one call, from images to a report: `run_demo`."""

from viscy_train.demo.run import DemoResult, run_demo
from viscy_train.demo.settings import DemoSettings

__all__ = ["DemoResult", "DemoSettings", "run_demo"]
