// Whatever command an answer offers is accepted when somebody follows it, in each state that a step can end in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "tests/store/operators/operator_scene.hpp"
#include "tests/store/queries/command_run.hpp"

namespace tasker::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Words = std::vector<std::string>;

/// The words of a command as a shell reads them; quotes stand around whole words only.
Words words_of(const std::string& command) {
    Words words;
    std::istringstream stream(command);
    for (std::string word; stream >> word;) {
        if (word.size() > 1 && word.front() == '\'' && word.back() == '\'')
            word = word.substr(1, word.size() - 2);
        words.push_back(word);
    }
    return words;
}

/// Every `tasker GROUP …` in a text, up to its prose: ids, names of options and their values only.
std::set<std::string> offered_in(const std::string& text) {
    static const std::regex command(
        "tasker ((?:task|step|dlq|batch|worker|db) [a-z]+|health|attention)"
        "((?: --[a-z-]+(?: (?:@late|'[^']*'|error))?| [0-9]+)*)");
    std::set<std::string> found;
    for (std::sregex_iterator at(text.begin(), text.end(), command), end; at != end; ++at) {
        found.insert((*at)[1].str() + (*at)[2].str());
    }
    return found;
}

class Advice : public testing::Test {
  protected:
    CommandRun run(const Words& arguments) { return run_command(scene.url(), arguments); }
    static std::string id(std::int64_t number) { return std::to_string(number); }

    /// A pair whose first step used up its only attempt.
    void exhausted() {
        task = scene.submit(scene.draw("pair", "pay limit=1\nship <- pay"));
        letter = scene.exhaust("pay");
        pay = scene.step_id(task, "pay");
        ship = scene.step_id(task, "ship");
    }
    void for_reason(const std::string& reason) {
        exhausted();
        scene.execute("UPDATE tasker_dead_letters SET reason = '" + reason + "'");
    }
    std::string shown_letter() { return run({"dlq", "show", id(letter)}).out; }
    std::string explained() { return run({"task", "explain", id(task)}).out; }

    /// Follows what every command about this task, and every refusal, offers. Those that change something are followed
    /// with --dry-run: the same rules decide.
    void follow_all(const std::string& state) {
        const Words shows[] = {{"task", "explain", id(task)},
                               {"task", "show", id(task)},
                               {"dlq", "show", id(letter)},
                               {"dlq", "list"},
                               {"step", "show", id(pay)},
                               {"step", "show", id(ship)},
                               {"attention"}};
        for (const auto& show : shows) {
            const auto answer = run(show);
            for (const auto& command : offered_in(answer.out + answer.err)) follow(state, show, command);
        }
        const Words operations[] = {{"step", "retry", id(pay)},
                                    {"step", "cancel", id(pay)},
                                    {"step", "retry", id(ship)},
                                    {"step", "cancel", id(ship)},
                                    {"task", "retry", id(task)},
                                    {"task", "cancel", id(task)},
                                    {"dlq", "replay", id(letter)},
                                    {"dlq", "discard", id(letter)},
                                    {"step", "resolve", id(pay), "--results", "@late"},
                                    {"step", "resolve", id(ship), "--results", "@late"},
                                    {"step", "resolve", id(pay), "--results", R"({"by":"hand"})"}};
        for (auto operation : operations) {
            operation.push_back("--dry-run");
            const auto answer = run(operation);
            EXPECT_THAT(answer.err, Not(HasSubstr("TASK_ID"))) << "it is known";
            if (answer.code == 0) continue;
            for (const auto& command : offered_in(answer.err)) follow(state, operation, command);
        }
    }

    api::OperatorScene scene;
    std::int64_t task = 0;
    std::int64_t letter = 0;
    std::int64_t pay = 0;
    std::int64_t ship = 0;
    int followed = 0;

  private:
    void follow(const std::string& state, const Words& by, const std::string& command) {
        static const std::set<std::string> writing = {"retry", "resolve", "cancel", "replay", "discard"};
        Words words = words_of(command);
        if (words.size() > 1 && writing.contains(words[1])) words.push_back("--dry-run");
        const auto answer = run(words);
        std::string offered_by;
        for (const auto& word : by) offered_by += word + " ";
        // health and attention answer no with 1; a refusal has a text for people.
        EXPECT_THAT(answer.err, Not(HasSubstr("tasker: ")))
            << state << ": `" << command << "`, offered by `" << offered_by << "`, is refused\n"
            << answer.err;
        ++followed;
    }
};

TEST_F(Advice, IsAcceptedWhenAStepIsOutOfAttempts) {
    exhausted();
    follow_all("exhausted");
    EXPECT_THAT(explained(),
                HasSubstr("tasker step retry " + id(pay) + ", or tasker dlq replay " + id(letter)));
    EXPECT_GT(followed, 10) << "the texts offer commands";
}

TEST_F(Advice, IsAcceptedAfterAPermanentFailure) {
    task = scene.submit(scene.draw("pair", "pay once\nship <- pay"));
    scene.fail("pay");
    pay = scene.step_id(task, "pay");
    ship = scene.step_id(task, "ship");
    follow_all("failed");
    EXPECT_THAT(explained(), HasSubstr("tasker step retry " + id(pay)));
}

TEST_F(Advice, IsAcceptedForEachReasonOfADeadLetter) {
    exhausted();
    for (const char* reason : {"session_lost", "timed_out", "not_accepted", "held_unstarted",
                               "handler_still_running", "request_too_large", "request_not_built"}) {
        scene.execute(std::string("UPDATE tasker_dead_letters SET reason = '") + reason + "'");
        follow_all(reason);
    }
}

TEST_F(Advice, IsAcceptedWithALateSuccess) {
    for_reason("session_lost");
    scene.execute(R"(UPDATE tasker_dead_letters SET late_result = '{"payment_id": "p-17"}')");
    follow_all("late success");
    EXPECT_THAT(shown_letter(), HasSubstr("tasker step resolve " + id(pay) + " --results @late"));
}

TEST_F(Advice, OffersNoRetryOfAStepWhoseTaskWasCancelled) {
    exhausted();
    ASSERT_EQ(run({"task", "cancel", id(task)}).code, 0);
    follow_all("cancelled");
    EXPECT_THAT(explained(), HasSubstr("stays so: its task is cancelled"));
    EXPECT_THAT(explained(), Not(HasSubstr("tasker step retry")));
    EXPECT_THAT(shown_letter(), Not(HasSubstr("what you can do")));
}

TEST_F(Advice, OffersNothingForAStepThatWasResolved) {
    exhausted();
    ASSERT_EQ(run({"step", "resolve", id(pay), "--results", R"({"paid":true})"}).code, 0);
    follow_all("resolved");
    const auto refused = run({"dlq", "replay", id(letter)});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("nothing is left to decide: its step is resolved_manually"));
    EXPECT_THAT(refused.err, Not(HasSubstr("retr")));
    scene.answer(scene.take_step("ship"), "completed");
    follow_all("resolved, and the task complete");
}

TEST_F(Advice, IsAcceptedAfterEachOtherWayOn) {
    exhausted();
    ASSERT_EQ(run({"dlq", "discard", id(letter)}).code, 0);
    follow_all("discarded");
    EXPECT_THAT(shown_letter(), HasSubstr("tasker step retry " + id(pay)));
    ASSERT_EQ(run({"step", "retry", id(pay)}).code, 0);
    follow_all("retried");
    scene.take_step("pay");
    follow_all("in progress");
    ASSERT_EQ(run({"step", "cancel", id(pay)}).code, 0);
    follow_all("a cancelled step, and so its task");
}

TEST_F(Advice, LooksBeforeItRunsAgainWhatMayHaveBeenDone) {
    for_reason("handler_still_running");
    const auto key = scene.one("SELECT installation_uuid FROM tasker_installation") + "-" + id(pay);
    const auto text = shown_letter();
    EXPECT_THAT(text, HasSubstr(key)) << "the other system is asked for it";
    EXPECT_LT(text.find("tasker step resolve"), text.find("tasker dlq replay")) << text;
    EXPECT_THAT(text, HasSubstr("only once the handler has ended"));
    EXPECT_THAT(explained(), HasSubstr("find out whether it was done: tasker dlq show " + id(letter)));
    EXPECT_THAT(explained(), Not(HasSubstr("retry"))) << "not the task either";
}

TEST_F(Advice, ShowsWhatFailedBeforeWhatThatBlocks) {
    exhausted();
    const auto text = explained();
    EXPECT_LT(text.find("after 1 attempt"), text.find("pay has failed before it")) << text;
}

TEST_F(Advice, SumsUpACancelledTask) {
    std::string drawing = "start\n";
    for (int i = 0; i < 40; ++i) drawing += "w" + std::to_string(i) + " <- start\n";
    task = scene.submit(scene.draw("wide", drawing));
    ASSERT_EQ(run({"task", "cancel", id(task)}).code, 0);
    const auto text = explained();
    EXPECT_THAT(text, HasSubstr("41 steps were cancelled with it: tasker task show " + id(task)));
    EXPECT_THAT(text, Not(HasSubstr("w3")));
    EXPECT_THAT(run({"task", "explain", id(task), "--step", "w3"}).out, HasSubstr("w3"));
}

TEST_F(Advice, ResolvesWithNullOnlyWhenAsked) {
    exhausted();
    const Words resolve = {"step", "resolve", id(pay)};
    const auto with = [&](const Words& more) {
        auto all = resolve;
        all.insert(all.end(), more.begin(), more.end());
        return run(all);
    };
    const auto refused = with({});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, HasSubstr("--results '{}'"));
    EXPECT_THAT(refused.err, HasSubstr("--no-results"));
    EXPECT_EQ(with({"--results", "{}", "--no-results"}).code, 2);
    const auto shown = with({"--results", R"({"paid":true})", "--dry-run"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_THAT(shown.err, HasSubstr(R"(what depends on it would get {"paid":true})"));
    EXPECT_THAT(with({"--no-results", "--dry-run"}).err, HasSubstr("what depends on it would get null"));
    EXPECT_EQ(scene.state_of(pay), "error") << "a dry run changes nothing";
    EXPECT_EQ(with({"--no-results"}).code, 0);
    EXPECT_EQ(
        scene.one("SELECT results IS NULL FROM tasker_workflow_steps WHERE workflow_step_id = " + id(pay)),
        "t");
}

}  // namespace
}  // namespace tasker::cli
