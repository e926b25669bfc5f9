//! A test harness of one thread, because clone3 is for a process of one thread. It prints what the usual one prints.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a test that ran has to say; `Err` is why it did not.
pub(crate) type Outcome = Result<(), String>;

/// Its name, and what it does.
pub(crate) type Test = (&'static str, fn() -> Outcome);

/// Runs the tests that the command line names, all without one; never returns.
pub(crate) fn run(tests: &[Test]) -> ! {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        std::process::exit(0);
    }
    // The value of `--color never` is no filter.
    let filters: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with("--") && *argument != "never").collect();
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let wanted: Vec<_> = tests.iter().filter(|(name, _)| is_wanted(name)).collect();
    println!("\nrunning {} tests", wanted.len());
    let start = std::time::Instant::now();
    let (mut passed, mut failed, mut skips) = (0, 0, Vec::new());
    for (name, test) in wanted.iter().copied() {
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(outcome) => {
                println!("test {name} ... ok");
                passed += 1;
                skips.extend(outcome.err().map(|why| (name, why)));
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    if !skips.is_empty() {
        println!("\nsuccesses:");
        for (name, why) in &skips {
            println!("\n---- {name} stdout ----\nskipped: {why}");
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        tests.len() - wanted.len(),
        start.elapsed().as_secs_f64()
    );
    std::process::exit(i32::from(failed != 0) * 101);
}
