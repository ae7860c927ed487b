//! File changes as unified diffs.

use similar::TextDiff;

use crate::plan::{Action, Plan};

use super::Style;

/// All file changes of a plan; what is the same on several hosts is shown once, under all their names.
pub fn diffs(plan: &Plan, style: Style) -> String {
    let mut shown: Vec<(String, String, Vec<&str>)> = Vec::new();
    for (lane, step) in plan.hops.iter().flat_map(crate::plan::Hop::steps) {
        let Action::WriteFile {
            dest, before, text, ..
        } = &step.action
        else {
            continue;
        };
        let diff = unified(dest, before.as_deref(), text, style);
        match shown
            .iter_mut()
            .find(|(path, known, _)| path == dest && *known == diff)
        {
            Some((_, _, hosts)) => hosts.push(&lane.host),
            None => shown.push((dest.clone(), diff, vec![&lane.host])),
        }
    }
    let parts: Vec<String> = shown
        .iter()
        .map(|(dest, diff, hosts)| {
            let heading = format!("{dest} on {}", hosts.join(", "));
            format!("{}\n{diff}", style.bold(&heading))
        })
        .collect();
    parts.join("\n")
}

/// One file's change. An empty text means that only owner or mode change.
pub fn unified(dest: &str, before: Option<&str>, after: &str, style: Style) -> String {
    let old = before.map_or("/dev/null", |_| dest);
    let diff = TextDiff::from_lines(before.unwrap_or_default(), after);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(old, dest)
        .to_string();
    if text.is_empty() {
        return "(only owner or mode)\n".to_owned();
    }
    text.lines()
        .map(|line| painted(line, style) + "\n")
        .collect()
}

fn painted(line: &str, style: Style) -> String {
    match line.as_bytes().first() {
        Some(b'+') => style.green(line),
        Some(b'-') => style.red(line),
        Some(b'@') => style.cyan(line),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_shown_with_its_surroundings() {
        let text = unified("/etc/x", Some("a\nb\nc\n"), "a\nB\nc\n", Style::default());
        assert_eq!(
            text,
            "--- /etc/x\n+++ /etc/x\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
        );
    }

    #[test]
    fn a_new_file_comes_from_nowhere() {
        let text = unified("/etc/x", None, "a\n", Style::default());
        assert!(text.starts_with("--- /dev/null\n+++ /etc/x\n"), "{text}");
    }

    #[test]
    fn a_change_of_mode_alone_says_so() {
        let text = unified("/etc/x", Some("a\n"), "a\n", Style::default());
        assert_eq!(text, "(only owner or mode)\n");
    }
}
