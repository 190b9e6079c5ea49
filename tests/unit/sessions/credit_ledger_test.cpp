// The ledger alone: accounts are opened, held and closed by hand, and no session says hello.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "orchestrator/core/sessions/credit.hpp"
#include "tests/unit/sessions/sanity.hpp"

namespace tasker::core {
namespace {

constexpr milliseconds kNow{1'000'000};

class CreditLedgerTest : public ::testing::Test {
  protected:
    explicit CreditLedgerTest(int lanes = 1) : ledger_(lanes, plain_) {}
    ~CreditLedgerTest() override { EXPECT_EQ(sanity_check(ledger_).value_or("sane"), "sane"); }

    void open(const std::string& session, std::int32_t limit) {
        ledger_.set_limit(session, limit, limit);
        ledger_.open(session);
    }
    // session:free of each offer, in order; nothing is taken.
    std::string offers(int lane = 0) {
        std::string text;
        const auto list = ledger_.reserve(kNow, lane);
        for (const auto& offer : list) {
            text += (text.empty() ? "" : " ") + std::string(offer.session) + ":" + std::to_string(offer.free);
        }
        ledger_.settle(list, {}, lane);
        return text;
    }
    void take(const std::string& session, const std::string& uuid, std::vector<std::int64_t> steps,
              int lane = 0) {
        ledger_.settle(ledger_.reserve(kNow, lane), {{uuid, session, "Echo", std::move(steps)}}, lane);
    }

    PlainMode plain_{3};
    CreditLedger ledger_;
};

class TwoLanesTest : public CreditLedgerTest {
  protected:
    TwoLanesTest() : CreditLedgerTest(2) {}
};

// ---------------------------------------------------------------- accounts

TEST_F(CreditLedgerTest, OnlyAnOpenAccountIsOffered) {
    ledger_.set_limit("a", 4, 2);
    EXPECT_EQ(offers(), "") << "a new account is held";
    EXPECT_FALSE(ledger_.take_credit_appeared());
    ledger_.open("a");
    EXPECT_TRUE(ledger_.take_credit_appeared());
    EXPECT_EQ(offers(), "a:4");
    ledger_.open("a");
    EXPECT_FALSE(ledger_.take_credit_appeared()) << "it was open before";
    ledger_.hold("a");
    EXPECT_EQ(offers(), "");
    EXPECT_FALSE(ledger_.take_credit_appeared());
    ledger_.open("a");
    EXPECT_TRUE(ledger_.take_credit_appeared());
}

TEST_F(CreditLedgerTest, AHeldAccountKeepsItsCreditAndAClosedOneLosesIt) {
    open("a", 4);
    take("a", "b1", {1, 2, 3});
    ledger_.hold("a");
    EXPECT_EQ(ledger_.in_flight(), 3);
    ledger_.give_back("b1", 1, false);
    EXPECT_EQ(ledger_.find("a")->in_flight, 2);
    EXPECT_EQ(ledger_.close("a"), 2);
    EXPECT_EQ(ledger_.close("a"), 0);
    EXPECT_EQ(ledger_.in_flight(), 0);
    ledger_.give_back("b1", 2, false);
    EXPECT_EQ(ledger_.in_flight(), 0) << "the loss returned it already";
    ledger_.open("a");
    EXPECT_EQ(offers(), "a:4");
}

TEST_F(CreditLedgerTest, UnknownSessionsChangeNothing) {
    ledger_.open("a");
    ledger_.hold("a");
    EXPECT_EQ(ledger_.close("a"), 0);
    ledger_.retake("a", {{{"b1", 1}}, {}, {}});
    ledger_.release_unlisted("a", {});
    ledger_.give_back("b1", 1, false);
    ledger_.give_back_all("b1");
    ledger_.forget("b1");
    EXPECT_TRUE(ledger_.forget_account("a")) << "there is nothing to keep";
    EXPECT_EQ(ledger_.find("a"), nullptr);
    EXPECT_FALSE(ledger_.take_credit_appeared());
    EXPECT_EQ(ledger_.in_flight(), 0);
}

TEST_F(CreditLedgerTest, ALimitMayFallBelowWhatIsInFlightAndRiseAgain) {
    open("a", 6);
    take("a", "b1", {1, 2, 3, 4, 5});
    ledger_.set_limit("a", 2, 1);
    EXPECT_EQ(ledger_.find("a")->excess, 3);
    EXPECT_EQ(offers(), "");
    for (const std::int64_t step : {1, 2, 3}) ledger_.give_back("b1", step, false);
    EXPECT_EQ(ledger_.find("a")->excess, 0) << "it falls with what is given back";
    EXPECT_EQ(offers(), "");
    ledger_.set_limit("a", 9, 9);
    EXPECT_EQ(offers(), "a:7");
}

TEST_F(CreditLedgerTest, AnAccountThatATurnHasReservedIsNotForgotten) {
    open("a", 2);
    const auto reserved = ledger_.reserve(kNow, 0);
    ledger_.close("a");
    EXPECT_FALSE(ledger_.forget_account("a"));
    ledger_.settle(reserved, {{"b1", "a", "Echo", {1}}}, 0);
    EXPECT_EQ(ledger_.in_flight(), 0) << "its session is lost: nobody would give this back";
    EXPECT_TRUE(ledger_.forget_account("a"));
    EXPECT_EQ(ledger_.find("a"), nullptr);
}

TEST_F(CreditLedgerTest, AnAdoptedBatchCountsForAnAccountThatComesLater) {
    ledger_.adopt({"b1", "a", "Echo", {1, 2, 3}});
    EXPECT_EQ(ledger_.in_flight(), 3);
    open("a", 2);
    EXPECT_EQ(ledger_.find("a")->in_flight, 3);
    EXPECT_EQ(ledger_.find("a")->excess, 1);
    ledger_.forget("b1");
    EXPECT_EQ(offers(), "a:2");
    ledger_.close("a");
    ledger_.adopt({"b2", "a", "Echo", {4}});
    EXPECT_EQ(ledger_.in_flight(), 0) << "a closed account takes none";
}

TEST_F(CreditLedgerTest, TheCreditOfASessionThatNeverComesIsReleasedWithoutAnAccount) {
    ledger_.adopt({"b1", "a", "Echo", {1, 2}});
    EXPECT_EQ(ledger_.close("a"), 2);
    EXPECT_EQ(ledger_.in_flight(), 0);
}

TEST_F(CreditLedgerTest, AStepThatStillRunsGivesItsCreditBackWhenItIsNoLongerListed) {
    open("a", 2);
    take("a", "b1", {1, 2});
    ledger_.take_credit_appeared();
    ledger_.give_back("b1", 1, true);
    EXPECT_EQ(ledger_.find("a")->in_flight, 2);
    ledger_.release_unlisted("a", {{}, {{"b1", 1}}, {}});
    EXPECT_FALSE(ledger_.take_credit_appeared());
    ledger_.release_unlisted("a", {});
    EXPECT_TRUE(ledger_.take_credit_appeared());
    EXPECT_EQ(ledger_.find("a")->in_flight, 1);
}

TEST_F(CreditLedgerTest, AReopenedAccountTakesAgainWhatItsSessionLists) {
    open("a", 4);
    take("a", "b1", {1, 2, 3});
    ledger_.close("a");
    ledger_.hold("a");
    ledger_.retake("a", {{{"b1", 1}}, {{"b1", 3}}, {{"b1", 2}}});
    EXPECT_EQ(ledger_.find("a")->in_flight, 2);
    ledger_.open("a");
    EXPECT_EQ(offers(), "a:2");
}

// ---------------------------------------------------------------- lanes

TEST_F(TwoLanesTest, TheCountsOfEachLaneFollowItsBatches) {
    open("a", 10);
    take("a", "b1", {1, 2, 3}, 0);
    take("a", "b2", {4, 5}, 1);
    const CreditAccount& account = *ledger_.find("a");
    EXPECT_EQ(account.shares[0].in_flight, 3);
    EXPECT_EQ(account.shares[1].in_flight, 2);
    ledger_.give_back("b2", 4, false);
    EXPECT_EQ(account.shares[1].in_flight, 1);
    EXPECT_TRUE(account.shares[1].awaited) << "the report is on its way to lane 1";
    EXPECT_FALSE(account.shares[0].awaited);
    ledger_.close("a");
    EXPECT_EQ(account.shares[0].in_flight + account.shares[1].in_flight, 0);
    ledger_.hold("a");
    ledger_.retake("a", {{{"b1", 1}}, {{"b2", 5}}, {}});
    EXPECT_EQ(account.shares[0].in_flight, 1);
    EXPECT_EQ(account.shares[1].in_flight, 1);
}

TEST_F(TwoLanesTest, AHungryLaneIsWokenForAnyReleaseButNotForAHeldAccount) {
    open("a", 1);
    take("a", "b1", {1}, 0);
    auto nothing = ledger_.reserve(kNow, 1);
    ASSERT_EQ(nothing.size(), 1U);
    nothing[0].wanted = true;
    ledger_.settle(nothing, {}, 1);
    EXPECT_EQ(ledger_.take_lanes_to_wake(), 0U);
    ledger_.hold("a");
    ledger_.give_back_all("b1");
    EXPECT_EQ(ledger_.take_lanes_to_wake(), 0U) << "the account is held";
    ledger_.open("a");
    EXPECT_TRUE(ledger_.take_credit_appeared()) << "its opening wakes all lanes";
    ledger_.set_away(0, true);
    EXPECT_EQ(ledger_.take_lanes_to_wake(), 0b10U);
}

TEST_F(TwoLanesTest, AForgottenAccountIsWantedByNobody) {
    open("a", 1);
    take("a", "b1", {1}, 0);
    auto wanting = ledger_.reserve(kNow, 1);
    wanting[0].wanted = true;
    ledger_.settle(wanting, {}, 1);
    ledger_.close("a");
    EXPECT_TRUE(ledger_.forget_account("a"));
    EXPECT_EQ(sanity_check(ledger_).value_or("sane"), "sane");
    open("a", 1);
    EXPECT_EQ(ledger_.find("a")->hungry_lanes, 0U);
}

// ---------------------------------------------------------------- the plain worker

TEST_F(CreditLedgerTest, ThePlainWorkerGetsOneBatchBesideTheAccounts) {
    plain_.open_from(kNow);
    plain_.on_subscribed();
    open("a", 2);
    EXPECT_EQ(offers(), ":3 a:2");
    take("", "b1", {1, 2});
    EXPECT_EQ(ledger_.in_flight(), 2);
    EXPECT_EQ(offers(), "a:2");
    ledger_.give_back("b1", 1, false);
    EXPECT_EQ(offers(), "a:2");
    ledger_.give_back("b1", 2, false);
    EXPECT_EQ(offers(), ":3 a:2");
}

TEST_F(CreditLedgerTest, AHandlerOfThePlainWorkerThatDidNotStopHoldsNoCredit) {
    plain_.open_from(kNow);
    plain_.on_subscribed();
    take("", "b1", {1});
    ledger_.give_back("b1", 1, true);
    EXPECT_EQ(ledger_.in_flight(), 0) << "no inventory of it would ever give this back";
    ledger_.forget("b1");
    EXPECT_EQ(ledger_.flights().session_of("b1"), nullptr);
    EXPECT_EQ(offers(), ":3");
}

// ---------------------------------------------------------------- at random

// Also the orders of events that sessions never show: an account may be opened or closed at any time.
class RandomLedger {
  public:
    explicit RandomLedger(unsigned seed) : random_(seed) {
        plain_.open_from(kNow);
        plain_.on_subscribed();
    }

    void event() {
        const std::string& session = sessions_[static_cast<std::size_t>(pick(4))];
        const int lane = pick(lanes_);
        switch (pick(10)) {
            case 0:
                ledger_.set_limit(session, pick(8), 1);
                break;
            case 1:
            case 2:
                ledger_.open(session);
                break;
            case 3:
                ledger_.hold(session);
                break;
            case 4:
                if (pick(3) == 0) ledger_.close(session);
                break;
            case 5:
                if (pick(3) != 0) break;
                ledger_.close(session);
                ledger_.forget_account(session);
                break;
            case 6:
                if (!turns_.contains(lane)) turns_[lane] = ledger_.reserve(kNow, lane);
                break;
            case 7:
                end_turn(lane);
                break;
            case 8:
                report(any_batch());
                break;
            default:
                list(session, {{{any_batch(), pick(4)}}, {{any_batch(), pick(4)}}, {}});
        }
    }

    void end() {
        for (auto& [lane, offers] : turns_) ledger_.settle(offers, {}, lane);
        for (const auto& uuid : batches_) ledger_.forget(uuid);
        for (const auto& session : sessions_) ledger_.close(session);
    }

    const CreditLedger& ledger() const { return ledger_; }

  private:
    int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
    std::string any_batch() {
        return batches_[static_cast<std::size_t>(pick(static_cast<int>(batches_.size())))];
    }

    void end_turn(int lane) {
        const auto turn = turns_.find(lane);
        if (turn == turns_.end()) return;
        std::vector<TakenBatch> taken;
        for (auto& offer : turn->second) {
            offer.wanted = pick(2) == 0;
            TakenBatch batch{"b" + std::to_string(batches_.size()), std::string(offer.session), "Echo", {}};
            for (int step = 0; step < std::min(offer.free, pick(4)); ++step) batch.step_ids.push_back(step);
            if (batch.step_ids.empty()) continue;
            batches_.push_back(batch.batch_uuid);
            taken.push_back(std::move(batch));
        }
        ledger_.settle(turn->second, std::move(taken), lane);
        turns_.erase(turn);
    }

    void report(const std::string& uuid) {
        if (pick(2) == 0) return ledger_.forget(uuid);
        ledger_.give_back(uuid, pick(4), pick(6) == 0);
    }

    // A session lists its steps when it is there (again).
    void list(const std::string& session, const Inventory& inventory) {
        const CreditAccount* account = ledger_.find(session);
        if (account == nullptr) return;
        if (account->state == AccountState::closed) ledger_.hold(session);
        ledger_.retake(session, inventory);
        ledger_.release_unlisted(session, inventory);
    }

    std::mt19937 random_;
    const int lanes_ = 1 + pick(kLanesMax);
    PlainMode plain_{3};
    CreditLedger ledger_{lanes_, plain_};
    const std::vector<std::string> sessions_ = {"a", "b", "c", "d"};
    std::vector<std::string> batches_ = {"none"};
    std::map<int, std::vector<CreditOffer>> turns_;  // by lane
};

TEST(CreditLedgerAtRandom, HoldsItsInvariantsAfterEveryEvent) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLedger random(seed);
    for (int i = 0; i < 20'000; ++i) {
        random.event();
        ASSERT_EQ(sanity_check(random.ledger()).value_or("sane"), "sane") << "after event " << i;
    }
    random.end();
    EXPECT_EQ(random.ledger().in_flight(), 0);
    EXPECT_TRUE(random.ledger().flights().sessions().empty());
}

// The check itself must be able to fail.
TEST(CreditLedgerSanity, FindsMoreThanTheLimit) {
    PlainMode plain(3);
    CreditLedger ledger(1, plain);
    ledger.set_limit("a", 1, 1);
    ledger.settle({}, {{"b1", "a", "Echo", {1, 2}}}, 0);
    EXPECT_NE(sanity_check(ledger), std::nullopt);
}

}  // namespace
}  // namespace tasker::core
