//! SLURM's lists: of machines (`node[003-007,9]-ib,login`) and of tasks on each (`4(x2),1`).

/// The first machine of a list.
pub fn first_host(list: &str) -> String {
    let mut host = String::new();
    let mut rest = list.trim();
    while let Some(next) = rest.chars().next() {
        match next {
            ',' => break,
            '[' => {
                let (inside, after) = rest[1..].split_once(']').unwrap_or((&rest[1..], ""));
                host.extend(inside.chars().take_while(|c| !matches!(c, '-' | ',')));
                rest = after;
            }
            _ => {
                host.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    host
}

/// The tasks on a machine of this number; none where the list does not say.
pub fn tasks_of_node(list: &str, node: usize) -> Option<usize> {
    let mut before = 0;
    for part in list.trim().split(',') {
        let (tasks, times) = part.split_once("(x").unwrap_or((part, "1)"));
        let times: usize = times.strip_suffix(')')?.parse().ok()?;
        if node < before + times {
            return tasks.parse().ok();
        }
        before += times;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_hosts_of_lists() {
        for (list, first) in [
            ("a", "a"),
            ("a,b", "a"),
            ("n[1,3-5]", "n1"),
            ("n[01-03,7]", "n01"),
            ("a[1-2],b-3", "a1"),
            ("n[1-2]-ib", "n1-ib"),
            ("r[0-1]n[0-3]", "r0n0"),
            ("r[00-11]n[2,4]-x,z", "r00n2-x"),
            ("n[01-02].cluster,m", "n01.cluster"),
            ("m,n[1-2]", "m"),
            ("gpu-a-[7]", "gpu-a-7"),
            ("", ""),
        ] {
            assert_eq!(first_host(list), first, "{list}");
        }
    }

    #[test]
    fn tasks_of_nodes() {
        for (list, expected) in
            [("4", vec![4]), ("2(x2),1", vec![2, 2, 1]), ("1,3(x3),2", vec![1, 3, 3, 3, 2]), ("x", vec![])]
        {
            let found: Vec<usize> = (0..10).map_while(|node| tasks_of_node(list, node)).collect();
            assert_eq!(found, expected, "{list}");
        }
    }
}
