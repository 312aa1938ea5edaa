//! "Did you mean": the known name that a mistyped one is closest to.

/// Below this similarity (0 to 1) a suggestion would be a guess.
const SIMILAR_ENOUGH: f64 = 0.75;

/// The candidate most like `word`, if one is like it at all.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= SIMILAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?`, or nothing.
pub(super) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map_or(String::new(), |name| format!("; did you mean {name:?}?"))
}
