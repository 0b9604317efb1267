//! What holds for those who use sessions, a chapter per topic.
//!
//! The chapters are the Markdown files in the folder `docs` of this crate, so their examples run as tests.

/// Includes a chapter. Links between chapters are those of the files; the definitions that stand first win, and
/// lead to the modules here.
macro_rules! chapter {
    ($name:ident, $file:literal) => {
        #[doc = "[values]: crate::manual::values"]
        #[doc = "[flash]: crate::manual::flash"]
        #[doc = "[permanent]: crate::manual::permanent"]
        #[doc = "[life cycle]: crate::manual::life_cycle"]
        #[doc = "[concurrency]: crate::manual::concurrency"]
        #[doc = "[tasks]: crate::manual::tasks"]
        #[doc = "[failures]: crate::manual::failures"]
        #[doc = "[cookies]: crate::manual::cookies"]
        #[doc = "[configuration]: crate::manual::configuration"]
        #[doc = "[drivers]: crate::manual::drivers"]
        #[doc = "[database]: crate::manual::database"]
        #[doc = "[stealth]: crate::manual::stealth"]
        #[doc = "[permanent data]: crate::manual::permanent"]
        #[doc = "[events]: crate::manual::events"]
        #[doc = "[testing]: crate::manual::testing"]
        #[doc = ""]
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

chapter!(values, "../docs/values.md");
chapter!(flash, "../docs/flash.md");
chapter!(permanent, "../docs/permanent.md");
chapter!(life_cycle, "../docs/life_cycle.md");
chapter!(concurrency, "../docs/concurrency.md");
chapter!(tasks, "../docs/tasks.md");
chapter!(failures, "../docs/failures.md");
chapter!(cookies, "../docs/cookies.md");
chapter!(configuration, "../docs/configuration.md");
chapter!(drivers, "../docs/drivers.md");
chapter!(database, "../docs/database.md");
chapter!(stealth, "../docs/stealth.md");
chapter!(events, "../docs/events.md");
chapter!(testing, "../docs/testing.md");
chapter!(migrating, "../docs/migrating.md");
