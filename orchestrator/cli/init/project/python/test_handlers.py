"""Handlers and the whole workflow, in memory: no database, no network, no waiting."""

import unittest

from handlers import GreetHandler
from tasker_worker.testing import run_step, run_template


class Greeting(unittest.TestCase):
    def test_one_handler(self):
        result = run_step(GreetHandler, context={"name": "Ada"})
        self.assertEqual(result.output, {"text": "Hello, Ada"})

    def test_nobody_to_greet_is_not_tried_again(self):
        result = run_step(GreetHandler, context={"name": ""})
        self.assertEqual(result.status, "error")

    def test_the_whole_workflow(self):
        run = run_template("config/tasks/greeting.yaml", context={"name": "Ada"})
        self.assertEqual(run.state, "complete")
        self.assertEqual(run.steps["shout"].results, {"text": "HELLO, ADA"})


if __name__ == "__main__":
    unittest.main()
