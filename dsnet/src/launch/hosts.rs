//! Slurm's lists of hosts: `login1`, `node[03-07,9]`, `rack[1-2]n[01-16],gpu5`.

/// The first host of a list; none where the list is not well formed.
///
/// ```
/// assert_eq!(dsnet::launch::first_host("node[03-07,9],other").as_deref(), Some("node03"));
/// ```
pub fn first_host(list: &str) -> Option<String> {
    let mut host = String::new();
    let mut rest = list.trim();
    loop {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        host += &rest[..end];
        if !rest[end..].starts_with('[') {
            break;
        }
        let (inside, after) = rest[end + 1..].split_once(']')?;
        // The first number of the first range, with its zeros.
        let first = inside.split([',', '-']).next()?.trim();
        if first.is_empty() || !first.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        host += first;
        rest = after;
    }
    let name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (!host.is_empty() && host.bytes().all(name)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host() {
        for (list, host) in [
            ("login1", "login1"),
            ("node[03-07,9]", "node03"),
            ("node[9,03-07]", "node9"),
            ("a,b[1-2]", "a"),
            ("rack[1-2]n[01-16],gpu5", "rack1n01"),
            ("n[7]-ib.cluster.example", "n7-ib.cluster.example"),
            (" gpu-a100-12 ", "gpu-a100-12"),
        ] {
            assert_eq!(first_host(list).as_deref(), Some(host), "{list}");
        }
        for wrong in ["", ",", "node[", "node[]", "node[a-b]", "no de", "node]1"] {
            assert_eq!(first_host(wrong), None, "{wrong}");
        }
    }
}
