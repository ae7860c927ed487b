//! Quoting for POSIX shells, and the one-line form in which a script travels.

/// Quotes a text so that a POSIX shell reads it as one word, unchanged.
///
/// Assumes that the text holds no NUL byte, which no shell can take.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Writes a text on one line, such that `printf %b` gives it back.
///
/// The reading side is `read -r`, which takes exactly one line from stdin and leaves the rest to the script.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n")
}

/// Replaces control characters other than line feeds and tabs, so that foreign words cannot steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let tame = |c: char| {
        if c.is_control() && c != '\n' && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.replace("\r\n", "\n")
        .chars()
        .filter(|c| !is_invisible_direction(*c))
        .map(tame)
        .collect()
}

/// Whether a character turns the direction of the text after it, which can make a terminal show another text.
fn is_invisible_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn through_sh(program: &str) -> Vec<u8> {
        Command::new("/bin/sh")
            .args(["-c", program])
            .output()
            .unwrap()
            .stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_quoted_text_comes_out_of_sh_unchanged(text in "[^\0]{0,40}", hostile in "[-'\"$`\\\\\n !*(){}~#;&|<>a]{0,30}") {
            let program = format!("printf %s {} {}", quote(&text), quote(&hostile));
            prop_assert_eq!(through_sh(&program), format!("{text}{hostile}").into_bytes());
        }

        #[test]
        fn a_script_on_one_line_comes_out_of_read_and_printf_unchanged(text in "[^\0]{0,40}[-'\"$`\\\\\n !*#a01x]{0,30}x") {
            prop_assert!(!one_line(&text).contains('\n'));
            let program = format!(
                "printf '%s\\n' {} | {{ IFS= read -r l; printf %s \"$(printf %b \"$l\")\"; }}",
                quote(&one_line(&text))
            );
            prop_assert_eq!(through_sh(&program), text.into_bytes());
        }
    }

    #[test]
    fn terminal_escapes_are_neutralised_and_lines_stay() {
        assert_eq!(
            printable("a\u{1b}[31mred\r\nnext\tline\u{7}\u{9b}\u{202e}x"),
            "a\u{fffd}[31mred\nnext\tline\u{fffd}\u{fffd}x"
        );
    }
}
