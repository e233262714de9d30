//! Which of several encoders in a file is meant: what the field's programs that read such files take.

use super::candidate::Candidate;

/// A pair of words in keys or prefixes, the one that is taken first, and who takes it.
const PAIRS: [(&str, &str, &str); 8] = [
    ("teacher", "student", "the teacher, as DINO's evaluation does"),
    ("state_dict_ema", "state_dict", "the averaged weights, as timm does"),
    ("model_ema", "model", "the averaged weights, as timm does"),
    ("encoder_q", "encoder_k", "the query encoder, as MoCo's evaluation does"),
    ("base_encoder", "momentum_encoder", "the base encoder, as MoCo v3's evaluation does"),
    ("online", "target", "the online network, as BYOL's evaluation does"),
    ("query", "key", "the query encoder, as MoCo's evaluation does"),
    ("ema_state_dict", "state_dict", "the averaged weights"),
];
/// Words of copies that follow another encoder slowly.
const SLOW: [&str; 6] = ["momentum", "encoder_k", "target", "ema", "slow", "key_"];

/// The one that is meant, with why; or all that may be.
pub fn meant<'c, 'a>(
    candidates: &'c [Candidate<'a>],
) -> Result<(&'c Candidate<'a>, Option<String>), Vec<&'c Candidate<'a>>> {
    let label = |candidate: &Candidate<'_>| candidate.label().replace("module.", "");
    let beside = |taken: &Candidate<'_>, why: &str| {
        let others: Vec<_> =
            candidates.iter().filter(|other| other.label() != taken.label()).map(Candidate::settings).collect();
        format!("{why}; {} takes the other", others.join(" or "))
    };
    let all: Vec<&Candidate<'_>> = candidates.iter().collect();
    if let [only] = all.as_slice() {
        return Ok((only, None));
    }
    for (preferred, other, why) in PAIRS {
        let rest = |taken: &&&Candidate<'_>| {
            let taken_label = label(taken);
            let (with, is_other) = (taken_label.contains(preferred), taken_label.replace(preferred, other));
            with && is_other != taken_label
                && candidates.iter().all(|c| c.label() == taken.label() || label(c) == is_other)
        };
        let mut taken = all.iter().filter(rest);
        if let (Some(taken), None) = (taken.next(), taken.next()) {
            return Ok((taken, Some(beside(taken, why))));
        }
    }
    let is_slow = |candidate: &&&Candidate<'_>| SLOW.iter().any(|word| label(candidate).contains(word));
    let mut quick = all.iter().filter(|candidate| !is_slow(candidate));
    match (quick.next(), quick.next()) {
        (Some(taken), None) => Ok((taken, Some(beside(taken, "the encoder itself, not a slow copy")))),
        _ => Err(all),
    }
}
