//! The question before hosts are changed.

use std::io::{self, IsTerminal};
use std::time::Instant;

use super::context::Context;
use super::out;
use crate::error::{Failure, Problem, Result};
use crate::exit::Exit;

/// Asks, unless `--yes` has answered already.
///
/// # Errors
/// Without `--yes` and without a terminal there is no one to ask; and when the answer is not yes.
pub async fn confirm(context: &Context, question: &str) -> Result<()> {
    if context.global.yes {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let problem = Problem::new("there is no terminal to ask at")
            .because(format!("the question was: {question}"))
            .hint("pass `--yes` to go on without a question");
        return Err(Failure::new(Exit::Refused, problem).changed("nothing"));
    }
    out::talk(&format!("{question} [y/N] "));
    let asked = Instant::now();
    let answer = answer().await;
    context.waited(asked.elapsed());
    if is_yes(&answer) {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "not confirmed").changed("nothing"))
}

/// A line from the terminal; empty at its end. Left behind where an interrupt comes first: the process ends then.
async fn answer() -> String {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    read.await.ok().and_then(Result::ok).unwrap_or_default()
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(is_yes("y\n") && is_yes(" YES "));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("yep") && !is_yes("n"));
    }
}
