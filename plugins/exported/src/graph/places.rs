//! Which line of the author's Python a node comes from.

use std::sync::Arc;

/// The last line of a stack that is not PyTorch's own: `net.py:12, in forward`.
pub fn place(stack: &str) -> Option<Arc<str>> {
    let frames = stack.lines().filter_map(|line| {
        let (path, rest) = line.trim_start().strip_prefix("File \"")?.split_once('"')?;
        let (number, function) = rest.strip_prefix(", line ")?.split_once(", in ").unwrap_or((rest, ""));
        Some((path, number, function))
    });
    let own = frames.fold(None, |own, frame| {
        let is_own = !frame.0.starts_with("torch/") && !frame.0.contains("/torch/");
        if is_own { Some(frame) } else { own }
    });
    own.map(|(path, number, function)| match function {
        "" => format!("{path}:{number}").into(),
        function => format!("{path}:{number}, in {function}").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_authors_line_is_the_last_that_is_not_pytorchs() {
        let stack = "File \"/home/me/net.py\", line 7, in forward\n    y = self.bn(x)\n  File \"/v/site-packages/torch/nn/modules/batchnorm.py\", line 174, in forward\n    self.n.add_(1)";
        assert_eq!(place(stack).as_deref(), Some("/home/me/net.py:7, in forward"));
        assert_eq!(place("File \"torch/fx/passes/runtime_assert.py\", line 24, in insert"), None);
        assert_eq!(place("nothing"), None);
    }
}
