//! Words recorded from OpenSSH.
