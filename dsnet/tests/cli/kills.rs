//! Killed at random moments: a run that is resumed often enough ends like one that was left alone. `DSNET_KILLS` is the number
//! of kills [default: 8].

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::{
    program::{TINY, succeeds},
    running::{ended_alike, finish, signal, start},
};

/// Numbers that look random (SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[test]
fn killed_and_resumed_equals_uninterrupted() {
    let kills: usize = std::env::var("DSNET_KILLS").map_or(8, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    fs::create_dir(&whole).unwrap();
    let begin = [&TINY[..], &["--epochs=9"]].concat();
    let clock = Instant::now();
    succeeds(&whole, &begin);
    // What a run lasts, by the last one that was seen from its start to its end.
    let mut lasts = clock.elapsed();
    let (mut state, mut done, mut runs) = (1, 0, 0);
    while done < kills || runs == 0 {
        fs::create_dir_all(&broken).unwrap();
        let resumed = broken.join("run/config.toml").exists();
        // Other threads, other loading threads: the result may not depend on them.
        let resume = ["train", "--resume", "--out=run", "--threads=1", "--workers=2"];
        let mut child = start(&broken, if resumed { &resume } else { &begin });
        let clock = Instant::now();
        let moment = lasts.mul_f64((random(&mut state) % 1000) as f64 / 1000.0);
        while clock.elapsed() < moment && child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_some() {
            lasts = if resumed { lasts } else { clock.elapsed() };
        } else if done < kills {
            done += 1;
            // SIGKILL mostly; now and then a signal that lets the program save.
            match random(&mut state) % 4 {
                0 => signal(&child, "TERM"),
                _ => child.kill().unwrap(),
            }
        }
        let said = finish(&broken, child);
        assert!(matches!(said.code, Some(0 | 143) | None), "{:?}\n{}", said.code, said.err);
        if said.code == Some(0) {
            runs += 1;
            ended_alike(&whole, &broken);
            fs::remove_dir_all(&broken).unwrap();
        }
    }
    println!("{done} kills, {runs} runs that ended alike");
}
