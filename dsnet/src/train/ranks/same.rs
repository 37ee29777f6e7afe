//! Whether the ranks learn from the same data: each process opens its own copy.

use datasets::Dataset;
use nn::Collective;
use tensor::Tensor;

use crate::{Error, Result, train::TrainData};

/// What has to be equal: numbers of samples, and sums over their names and over the shares of the classes.
fn fingerprint(data: &TrainData) -> [i64; 4] {
    // FNV-1a, as in checkpoints.
    let hash = |bytes: &mut dyn Iterator<Item = u8>| {
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
            as i64
    };
    // As seen from the root: that may lie elsewhere for each process.
    let names =
        |data: &dyn Dataset| -> Vec<String> { (0..data.len()).map(|i| data.name_below_root(i)).collect() };
    let all = [names(&*data.train), names(&*data.val)].concat().join("\n");
    let shares = hash(&mut data.frequencies.iter().flat_map(|share| share.to_le_bytes()));
    [data.train.len() as i64, data.val.len() as i64, hash(&mut all.bytes()), shares]
}

/// Fails where the data of a rank are not those of rank 0.
///
/// # Errors
/// Names the rank and what differs; a rank that is lost or hangs.
pub(super) fn check(data: &TrainData, ranks: &dyn Collective) -> Result<()> {
    if ranks.world() == 1 {
        return Ok(());
    }
    let all = ranks.all_gather(&Tensor::from_slice(&fingerprint(data), &[4])?)?;
    let all = all.iter().map(|one| Ok(one.to_vec::<i64>()?)).collect::<Result<Vec<_>>>()?;
    let Some(rank) = all.iter().position(|one| *one != all[0]) else { return Ok(()) };
    let (here, there) = (&all[0], &all[rank]);
    let what = if here[..2] != there[..2] {
        let count = |one: &[i64]| format!("{} to learn from and {} to validate on", one[0], one[1]);
        format!("it has {}, rank 0 has {}", count(there), count(here))
    } else if here[2] != there[2] {
        "its pictures have other names, or another order".into()
    } else {
        "its labels are not the same".into()
    };
    Err(Error::message(format!("rank {rank} has other data than rank 0: {what}")))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use datasets::{Split, Synthetic, SyntheticOptions};
    use nn::collective::Threads;

    use super::*;

    fn data(train: usize, share: f64) -> TrainData {
        let open = |len| {
            let options =
                SyntheticOptions { len, width: 64, height: 32, ..SyntheticOptions::new(Split::Train) };
            Arc::new(Synthetic::new(options).unwrap())
        };
        TrainData { train: open(train), val: open(2), frequencies: vec![share, 1.0 - share] }
    }

    #[test]
    fn other_data_are_noticed_by_all() {
        let told = |other: fn() -> TrainData| {
            let heard = Threads::run(2, Duration::from_secs(60), move |ranks| {
                let mine = if ranks.rank() == 1 { other() } else { data(4, 0.3) };
                Ok::<_, Error>(check(&mine, &*ranks).err().map(|e| e.to_string()))
            });
            let heard = heard.unwrap();
            assert_eq!(heard[0], heard[1]);
            heard[0].clone()
        };
        assert_eq!(told(|| data(4, 0.3)), None);
        let more = told(|| data(5, 0.3)).unwrap();
        assert!(more.contains("rank 1 has other data than rank 0: it has 5 to learn from and 2"), "{more}");
        assert!(told(|| data(4, 0.4)).unwrap().contains("its labels are not the same"));
    }
}
