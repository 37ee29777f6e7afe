//! What every collective promises, tried on threads and on one rank alone; and what happens when a rank is lost.

use std::{sync::mpsc, time::Duration};

use super::*;
use crate::Result;

/// Long enough never to be reached by ranks that are well.
pub(super) const PATIENT: Duration = Duration::from_secs(120);

/// Short enough for a test to wait for.
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// What each of `world` ranks returns.
fn each<T: Send + 'static>(
    world: usize,
    work: impl Fn(&dyn Collective) -> Result<T> + Send + Sync + 'static,
) -> Vec<T> {
    Threads::run(world, PATIENT, move |ranks| work(&*ranks)).unwrap()
}

/// Numbers that add up differently in each order.
pub(super) fn mine(rank: usize) -> Tensor {
    let values: Vec<f32> = (0..7).map(|i| (rank as f32 - 1.3) * 10_f32.powi(i - 3) + 0.1).collect();
    Tensor::from_vec(values, &[7]).unwrap()
}

pub(super) fn bits(t: &Tensor) -> Vec<u32> {
    t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn sums_are_taken_in_the_order_of_the_ranks() {
    for world in [1, 2, 3, 4] {
        let want = (1..world).fold(mine(0), |sum, rank| sum.add(&mine(rank)).unwrap());
        for _ in 0..20 {
            let all = each(world, |ranks| ranks.all_reduce(&mine(ranks.rank())));
            assert!(all.iter().all(|sum| bits(sum) == bits(&want)), "{world} ranks");
        }
    }
}

/// What every collective does, as one of its ranks sees it.
pub(super) fn promises(ranks: &dyn Collective) -> Result<()> {
    let (rank, world) = (ranks.rank(), ranks.world());
    let want = (1..world).fold(mine(0), |sum, rank| sum.add(&mine(rank)).unwrap());
    assert_eq!(bits(&ranks.all_reduce(&mine(rank))?), bits(&want));
    let rows = ranks.all_gather(&mine(rank))?;
    assert_eq!(rows.len(), world);
    assert!(rows.iter().enumerate().all(|(r, row)| bits(row) == bits(&mine(r))));
    let counts = ranks.all_gather(&Tensor::from_vec(vec![i64::MIN + rank as i64], &[1])?)?;
    assert_eq!(counts[world - 1].to_vec::<i64>()?, [i64::MIN + world as i64 - 1]);
    for root in 0..world {
        assert_eq!(bits(&ranks.broadcast(&mine(rank), root)?), bits(&mine(root)));
    }
    assert!(ranks.broadcast(&mine(rank), world).unwrap_err().to_string().contains("no rank"));
    ranks.barrier()?;
    ranks.alive();
    assert!(!ranks.any(false)?);
    assert!(ranks.any(rank == world - 1)?);
    let share = Share::find(rank + 2, ranks)?;
    let total = (0..world).map(|r| r + 2).sum();
    assert_eq!(share, Share { first: (0..rank).map(|r| r + 2).sum(), len: rank + 2, total });
    assert_eq!(ranks.failure(), None);
    Ok(())
}

/// Three sums, waited for in another order than they were begun.
pub(super) fn sums_under_way(ranks: &dyn Collective) -> Result<Vec<f64>> {
    let number = |x: usize| Tensor::scalar((x * 10 + ranks.rank()) as f64);
    let begun = (1..=3).map(|x| ranks.start_all_reduce(&number(x))).collect::<Result<Vec<_>>>()?;
    ranks.barrier()?;
    begun.into_iter().rev().map(|sum| sum.wait()?.item().map_err(Into::into)).collect()
}

#[test]
fn everything_else_on_one_rank_and_on_several() {
    promises(&Solo).unwrap();
    each(4, promises);
}

#[test]
fn several_sums_are_under_way_and_taken_in_any_order() {
    assert_eq!(each(3, sums_under_way), vec![[93.0, 63.0, 33.0]; 3]);
}

/// Runs three ranks of which rank 1 does `bad` where the others want a sum; what the others got to hear, and what
/// the run ended with.
fn broken(
    timeout: Duration,
    bad: impl Fn(&dyn Collective) -> Result<()> + Send + Sync + 'static,
) -> (Vec<String>, Stopped<Error>) {
    let (send, heard) = mpsc::channel();
    let stopped = Threads::run(3, timeout, move |ranks| -> Result<()> {
        ranks.barrier()?;
        if ranks.rank() == 1 {
            return bad(&*ranks);
        }
        let sum = ranks.all_reduce(&mine(0));
        send.send(sum.as_ref().unwrap_err().to_string()).unwrap();
        sum.map(|_| ())
    });
    (heard.into_iter().take(2).collect(), stopped.unwrap_err())
}

fn all_say(heard: &[String], part: &str) {
    assert!(heard.len() == 2 && heard.iter().all(|said| said.contains(part)), "{part} is not in {heard:?}");
}

#[test]
fn a_rank_that_fails_is_named_with_its_error() {
    let (heard, stopped) = broken(PATIENT, |_| Err(Error::config("data", "image 7 can not be read")));
    all_say(&heard, "rank 1 was lost: data: image 7 can not be read");
    assert_eq!(stopped.failure.rank(), 1);
    assert_eq!(stopped.cause.unwrap().to_string(), "data: image 7 can not be read");
}

#[test]
fn a_rank_that_panics_is_named_with_its_words() {
    let (heard, stopped) = broken(PATIENT, |_| panic!("seven is {}", 8));
    all_say(&heard, "rank 1 was lost: it panicked: seven is 8");
    assert!(stopped.cause.is_none());
}

#[test]
fn a_rank_that_hangs_is_named_and_left_behind() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let (heard, stopped) = broken(SHORT, move |ranks| {
        // Until the test is over.
        let _ = held.lock().unwrap().recv();
        ranks.barrier()
    });
    all_say(&heard, "rank 1 hangs: it gave no sign of life for 1 s");
    all_say(&heard, "wait for it at a sum of f32[7] (call 2); its last call was a barrier (call 1)");
    assert!(matches!(stopped.failure, Failure::Hung { rank: 1, .. }));
    drop(release);
}

#[test]
fn a_rank_that_leaves_is_named() {
    let (heard, _) = broken(PATIENT, |_| Ok(()));
    all_say(&heard, "rank 1 was lost: it ended while others wait for it at a sum of f32[7] (call 2)");
}

#[test]
fn another_call_than_the_others_is_noticed() {
    let (heard, stopped) = broken(PATIENT, |ranks| ranks.all_reduce(&Tensor::scalar(1.0)).map(|_| ()));
    all_say(&heard, "ranks disagree: at call 2");
    all_say(&heard, "wants a sum of f64[]");
    assert!(matches!(stopped.failure, Failure::Disagree { .. }));
    let (heard, _) = broken(PATIENT, |ranks| ranks.barrier());
    all_say(&heard, "wants a barrier");
}
