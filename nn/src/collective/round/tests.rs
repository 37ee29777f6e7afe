//! Who is missed when, with a clock of the test's own.

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Three ranks, of which rank 0 waits at a barrier, seen at the start.
fn group() -> (Group, Instant) {
    let group = Group::new(3, TIMEOUT);
    group.put(0, Call::Barrier, Tensor::scalar(0.0)).unwrap();
    let start = Instant::now();
    let mut state = group.lock();
    state.members[0].waits = true;
    state.members.iter_mut().for_each(|m| m.seen = start);
    drop(state);
    (group, start)
}

fn after(group: &Group, start: Instant, seconds: u64) -> Result<Duration, Failure> {
    group.lock().watch(0, start + Duration::from_secs(seconds), TIMEOUT)
}

#[test]
fn who_gives_no_sign_of_life_hangs() {
    let (group, start) = group();
    assert_eq!(after(&group, start, 4).unwrap(), Duration::from_secs(6));
    let failure = after(&group, start, 10).unwrap_err();
    assert_eq!(failure.rank(), 1);
    let said = failure.to_string();
    for part in ["rank 1 hangs", "for 10 s", "a barrier (call 1)", "its last call was none"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn signs_of_life_and_waiting_count() {
    let (group, start) = group();
    group.lock().members[1].seen = start + Duration::from_secs(8);
    assert_eq!(after(&group, start, 12).unwrap_err().rank(), 2, "rank 1 was seen, rank 2 was not");
    group.lock().members[2].waits = true;
    assert_eq!(after(&group, start, 12).unwrap(), Duration::from_secs(6), "rank 2 waits for rank 1");
    assert_eq!(after(&group, start, 18).unwrap_err().rank(), 1);
    // Who has come is not missing, however long ago.
    group.lock().members[1].calls = 1;
    assert_eq!(after(&group, start, 99).unwrap(), TIMEOUT);
}

#[test]
fn rounds_do_not_pile_up() {
    let group = Group::new(2, TIMEOUT);
    for n in 0..3 {
        let put = |rank| group.put(rank, Call::Barrier, Tensor::scalar(0.0)).unwrap();
        assert_eq!((put(0), put(1)), (n, n));
        assert_eq!(group.lock().rounds.len(), 1);
        (0..2).for_each(|rank| drop(group.take(rank, n).unwrap()));
        assert!(group.lock().rounds.is_empty());
    }
}
