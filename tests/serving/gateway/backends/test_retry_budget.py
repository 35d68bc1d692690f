"""How many retries there are."""

from signet.serving.gateway.backends.retry_budget import RetryBudget


def test_what_is_saved_up_is_bounded():
    budget = RetryBudget(share=0.2, per_second=10, most=5)
    for _ in range(1000):
        budget.add_call()
    assert [budget.take(0) for _ in range(6)] == [True] * 5 + [False]


def test_a_fifth_of_the_calls_may_be_tried_again():
    budget = RetryBudget(share=0.2, per_second=0, most=5)
    retries = 0
    for _ in range(1000):
        budget.add_call()
        retries += budget.take(0)
    assert 200 <= retries <= 206


def test_few_calls_have_some_all_the_same():
    budget = RetryBudget(share=0, per_second=10, most=5)
    while budget.take(0):
        pass
    assert not budget.take(0.05)
    assert budget.take(0.15)
    assert [budget.take(60) for _ in range(6)] == [True] * 5 + [False]
