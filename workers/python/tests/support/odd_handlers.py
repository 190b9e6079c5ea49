"""Handlers that do what harms a careless worker."""

import asyncio
import logging
import os
import signal
import sys
import time

from tasker_worker import StepHandler, handler


@handler("Odd::Noisy")
class Noisy(StepHandler):
    """Logs handler_config.lines lines of 1000 characters."""

    def process(self, task, sequence, step):
        for _ in range(step.handler_config["lines"]):
            logging.getLogger("noisy").error("y" * 1000)
        return {"logged": True}


@handler("Odd::Forks")
class Forks(StepHandler):
    """Makes a child that leaves the handler in the way of handler_config.way; its exit code is the output."""

    def process(self, task, sequence, step):
        pid = os.fork()
        if pid == 0:
            return self.leave(step.handler_config["way"])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return {"exit_code": os.waitstatus_to_exitcode(status)}
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise RuntimeError("the child did not end")

    def leave(self, way):
        if way == "raise":
            raise RuntimeError("in the child")
        if way == "exit":
            sys.exit(3)
        if way == "term":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        return {"from": "the child"}

    def process_results(self, step, output, initial_results):
        with open(step.handler_config["seen"], "a", encoding="utf-8") as stream:
            stream.write("results\n")
        return output


@handler("Odd::Note")
class Note(StepHandler):
    """Writes its process and its step into the file handler_config.seen."""

    def process(self, task, sequence, step):
        with open(step.handler_config["seen"], "a", encoding="utf-8") as stream:
            stream.write(f"{os.getpid()} {step.step_id}\n")


@handler("Odd::ForksLater")
class ForksLater(StepHandler):
    """The same in a coroutine; the child returns, or first awaits something."""

    async def process(self, task, sequence, step):
        pid = os.fork()
        if pid == 0:
            if step.handler_config["way"] == "await":
                await asyncio.sleep(0)
                with open(step.handler_config["seen"], "a", encoding="utf-8") as stream:
                    stream.write("went on\n")
            return {"from": "the child"}
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        return {"exit_code": os.waitstatus_to_exitcode(status)}


@handler("Odd::Sleeps")
class Sleeps(StepHandler):
    """A coroutine that sleeps for a minute."""

    async def process(self, task, sequence, step):
        await asyncio.sleep(60)


@handler("Odd::Long")
class Long(StepHandler):
    """Returns the number of the context, and how it begins."""

    def process(self, task, sequence, step):
        return {"same": task.context["n"], "begins": repr(task.context["n"])[:20]}
