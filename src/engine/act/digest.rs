//! How scripts take a SHA-256 on a host.

/// A shell function `sum`: the SHA-256 of stdin in hex. openssl is several times faster than sha256sum where the
/// processor helps, and every binary of a release goes through it.
macro_rules! sum {
    () => {
        r#"
sum() {
  if command -v openssl >/dev/null 2>&1; then
    openssl dgst -sha256 -r | cut -d ' ' -f 1
  else
    sha256sum | cut -d ' ' -f 1
  fi
}
"#
    };
}
pub(crate) use sum;
