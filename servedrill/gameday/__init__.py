"""Game days: people, a plan and an abort button. A playbook is data; a plan is what it comes to on a stack, frozen by
its hash; a record is everything that happened, and the verdict is computed from it alone."""
