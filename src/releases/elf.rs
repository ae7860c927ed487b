//! The head of an ELF file: which machine it is for.

use crate::facts::Arch;

/// What the first bytes of a file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A 64-bit executable for an architecture that etcd is released for.
    For(Arch),
    /// An executable for something else, in words.
    Foreign(String),
    /// No ELF file.
    NotElf,
}

/// How many bytes [`head`] looks at.
pub(super) const HEAD: usize = 20;

/// Reads class, byte order and machine (`e_machine` of the ELF specification).
pub(super) fn head(bytes: &[u8]) -> Head {
    if bytes.len() < HEAD || !bytes.starts_with(b"\x7fELF") {
        return Head::NotElf;
    }
    let pair = [bytes[18], bytes[19]];
    let machine = match bytes[5] {
        1 => u16::from_le_bytes(pair),
        _ => u16::from_be_bytes(pair),
    };
    match (bytes[4], bytes[5], machine) {
        (2, 1, 62) => Head::For(Arch::Amd64),
        (2, 1, 183) => Head::For(Arch::Arm64),
        (2, 1, 21) => Head::For(Arch::Ppc64le),
        (2, 2, 22) => Head::For(Arch::S390x),
        (1, _, 3) => Head::Foreign("386".to_owned()),
        (1, _, 40) => Head::Foreign("arm".to_owned()),
        (_, _, other) => Head::Foreign(format!("ELF machine {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(class: u8, order: u8, machine: [u8; 2]) -> Vec<u8> {
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([class, order, 1]);
        bytes.resize(18, 0);
        bytes.extend(machine);
        bytes
    }

    #[test]
    fn each_architecture_is_told_by_class_order_and_machine() {
        assert_eq!(head(&file(2, 1, [62, 0])), Head::For(Arch::Amd64));
        assert_eq!(head(&file(2, 1, [183, 0])), Head::For(Arch::Arm64));
        assert_eq!(head(&file(2, 1, [21, 0])), Head::For(Arch::Ppc64le));
        assert_eq!(head(&file(2, 2, [0, 22])), Head::For(Arch::S390x));
    }

    #[test]
    fn others_are_named_and_scripts_are_no_elf() {
        assert_eq!(head(&file(1, 1, [3, 0])), Head::Foreign("386".to_owned()));
        assert_eq!(
            head(&file(2, 2, [0, 21])),
            Head::Foreign("ELF machine 21".to_owned())
        );
        assert_eq!(
            head(b"#!/bin/sh\necho etcd Version: 3.5.16\n"),
            Head::NotElf
        );
        assert_eq!(head(b"\x7fELF"), Head::NotElf);
    }

    #[test]
    fn this_test_binary_is_for_this_machine() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(
            head(&bytes),
            super::super::own_arch().map_or(Head::NotElf, Head::For)
        );
    }
}
