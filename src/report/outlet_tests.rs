use std::fs::File;
use std::io::Read;

use super::*;

/// Two pipes, and their ends for reading.
fn pipes() -> (&'static Outlets, [File; 2]) {
    let [(out_read, out), (err_read, err)] = [(); 2].map(|()| rustix::pipe::pipe().unwrap());
    let outlets = Outlets::new([Box::new(out), Box::new(err)]);
    (outlets, [out_read.into(), err_read.into()])
}

/// More than a pipe holds.
fn much() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

const SHORT: Patience = Patience {
    out: Duration::from_millis(20),
    err: Duration::from_millis(10),
    is_last: false,
};
const LONG: Patience = Patience {
    out: Duration::from_secs(3600),
    err: Duration::from_secs(3600),
    is_last: true,
};

#[test]
fn a_pipe_that_nobody_reads_is_left_and_keeps_what_it_was_given_until_somebody_does() {
    let (outlets, [mut reader, _err]) = pipes();
    outlets.put(Outlet::Out, &much());
    assert!(!outlets.drain(SHORT));
    assert!(outlets.pending(Outlet::Out) > 0);
    let mut taken = vec![0; much().len()];
    reader.read_exact(&mut taken).unwrap();
    assert!(taken == much(), "some bytes are wrong");
    assert!(outlets.drain(LONG));
}

#[test]
fn a_reader_that_is_slow_gets_everything() {
    let (outlets, [mut reader, _err]) = pipes();
    let all = much();
    let length = all.len();
    let slow = std::thread::spawn(move || {
        let mut taken = vec![0; length];
        for piece in taken.chunks_mut(1000) {
            reader.read_exact(piece).unwrap();
            std::thread::yield_now();
        }
        taken
    });
    outlets.put(Outlet::Out, &all);
    assert!(outlets.drain(LONG));
    assert!(slow.join().unwrap() == all, "some bytes are wrong");
}

#[test]
fn a_signal_ends_the_wait_for_a_reader_and_all_waits_after_the_last() {
    let (outlets, _ends) = pipes();
    outlets.put(Outlet::Out, &much());
    let waiting = std::thread::spawn(|| outlets.drain(LONG));
    while !waiting.is_finished() {
        outlets.hurry();
        std::thread::yield_now();
    }
    assert!(!waiting.join().unwrap());
    assert!(!outlets.drain(LONG), "it waited for an hour");
}

#[test]
fn one_stream_that_stands_still_keeps_nothing_from_the_other() {
    let (outlets, [_out, mut reader]) = pipes();
    outlets.put(Outlet::Out, &much());
    outlets.put(Outlet::Err, b"talk\n");
    assert!(!outlets.drain(SHORT));
    let mut line = [0; 5];
    reader.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"talk\n");
}

#[test]
fn a_reader_that_has_gone_is_told_and_stops_nothing() {
    let (outlets, ends) = pipes();
    drop(ends);
    outlets.put(Outlet::Out, &much());
    assert!(outlets.drain(LONG));
    let failed = outlets.through(Outlet::Out).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_stream_that_would_block_is_awaited_and_loses_nothing() {
    use rustix::fs::{OFlags, fcntl_setfl};
    let (read, write) = rustix::pipe::pipe().unwrap();
    fcntl_setfl(&write, OFlags::NONBLOCK).unwrap();
    let outlets = Outlets::new([Box::new(write), Box::new(io::stderr())]);
    outlets.put(Outlet::Out, &much());
    assert!(!outlets.drain(SHORT));
    let mut taken = vec![0; much().len()];
    File::from(read).read_exact(&mut taken).unwrap();
    assert!(taken == much(), "some bytes are wrong");
}
