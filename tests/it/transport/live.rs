//! Output that is seen while a script runs, and a stdin that tells it when nobody waits any more.

use super::*;
use runner::transport::{Line, Stream};
use tokio::sync::{mpsc, watch};

fn line(stream: Stream, text: &str) -> Line {
    Line {
        host: "a".into(),
        stream,
        text: text.into(),
    }
}

#[tokio::test]
async fn lines_come_while_the_script_runs_and_a_held_stdin_ends_when_it_is_released() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let (lines, mut coming) = mpsc::channel(16);
    let (release, released) = watch::channel(false);
    let command = Command {
        input: Input::Held(released),
        output: Sink::Lines(lines),
        ..read("echo one; cat >&2; echo bad >&2; printf last; exit 4")
    };
    let look = async {
        assert_eq!(coming.recv().await.unwrap(), line(Stream::Out, "one"));
        release.send_replace(true);
        let mut rest = vec![coming.recv().await.unwrap(), coming.recv().await.unwrap()];
        rest.sort_by_key(|line| line.stream == Stream::Err);
        assert_eq!(rest, [line(Stream::Out, "last"), line(Stream::Err, "bad")]);
        coming.recv().await
    };
    let (out, last) = tokio::join!(reach.run("a", command), look);
    let out = out.unwrap();
    assert_eq!((out.status, out.text().as_str(), last), (4, "", None));
}

#[tokio::test]
async fn a_receiver_that_went_away_does_not_stop_the_script() {
    let sshd = Sshd::start("");
    let reach = Reach::new(&[sshd.host("a")]);
    let (lines, coming) = mpsc::channel(1);
    drop(coming);
    let command = Command {
        output: Sink::Lines(lines),
        ..read("echo one; echo two; echo three; exit 5")
    };
    assert_eq!(reach.run("a", command).await.unwrap().status, 5);
}
