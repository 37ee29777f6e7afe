//! What launchers say, as they say it.

use super::*;

fn variables(list: &str) -> Variables {
    list.split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.into(), v.into()))
        .collect()
}

fn launch(list: &str) -> Launch {
    Launch::from_variables(&variables(list)).unwrap().unwrap()
}

fn refused(list: &str) -> String {
    Launch::from_variables(&variables(list)).unwrap_err().to_string()
}

const TORCH: &str = "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=head MASTER_PORT=4000";

#[test]
fn without_a_launcher_nothing_is_said() {
    // Of a shell in an allocation of Slurm, or beneath a PMIx server.
    for list in [
        "",
        "HOME=/root MASTER_ADDR=x",
        "SLURM_NTASKS=4 SLURM_JOB_NODELIST=n[1-4]",
        "SLURM_PROCID=0",
        "PMIX_RANK=0",
    ] {
        assert_eq!(Launch::from_variables(&variables(list)).unwrap(), None, "{list}");
    }
}

#[test]
fn each_launcher_is_understood() {
    let address = |text: &str| Some(text.to_owned());
    let torch = launch(TORCH);
    assert_eq!((torch.process, torch.processes, torch.local), (5, 8, (Some(1), Some(4))));
    assert_eq!(torch.address, address("head:4000"));
    let agent = launch(&format!("{TORCH} TORCHELASTIC_USE_AGENT_STORE=True"));
    assert_eq!(agent.address, address("head:4001"), "torchrun's own store is at its port");
    let six = launch("RANK=1 WORLD_SIZE=2 MASTER_ADDR=fd00::7 MASTER_PORT=4000");
    assert_eq!((six.address, six.local), (address("[fd00::7]:4000"), (None, None)));

    let mpi = "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_RANK=1";
    assert_eq!(launch(mpi).address, address("127.0.0.1:29500"), "all are on this machine");
    assert_eq!(launch(&format!("{mpi} MASTER_ADDR=head")).address, address("head:29500"));
    let mpich =
        launch("PMI_RANK=2 PMI_SIZE=3 MPI_LOCALRANKID=0 MPI_LOCALNRANKS=1 MASTER_ADDR=a MASTER_PORT=1");
    assert_eq!((mpich.process, mpich.local, mpich.address), (2, (Some(0), Some(1)), address("a:1")));
    assert_eq!(launch("PMIX_RANK=2 PMIX_SIZE=3 MASTER_ADDR=a").process, 2);

    let slurm =
        "SLURM_PROCID=3 SLURM_NTASKS=6 SLURM_LOCALID=1 SLURM_JOB_NODELIST=node[03-07,9] SLURM_JOB_ID=70042";
    let tasks = launch(&format!("{slurm} SLURM_TASKS_PER_NODE=2(x3)"));
    assert_eq!((tasks.process, tasks.local), (3, (Some(1), Some(2))));
    assert_eq!(tasks.address, address("node03:29542"), "each job has a port of its own");
    assert_eq!(launch(&format!("{slurm} SLURM_TASKS_PER_NODE=4,1(x2)")).local, (Some(1), None));
    assert_eq!(launch(&format!("{slurm} PMI_RANK=3 PMI_SIZE=6")).address, address("node03:29542"));
    // torchrun started by srun, one for each machine.
    assert_eq!(launch(&format!("{slurm} {TORCH}")).process, 5);
    let alone = launch("SLURM_PROCID=0 SLURM_NTASKS=1");
    assert_eq!((alone.processes, alone.address), (1, None));
}

#[test]
fn what_is_half_set_or_contradicts_itself_is_said() {
    for (list, part) in [
        ("RANK=1", "RANK is set, but WORLD_SIZE is not"),
        ("WORLD_SIZE=2", "WORLD_SIZE is set, but RANK is not"),
        ("WORLD_SIZE=2 RANK=", "WORLD_SIZE is set, but RANK is not"),
        ("LOCAL_RANK=1", "LOCAL_RANK is set, but RANK and WORLD_SIZE are not"),
        ("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE is not"),
        ("PMI_SIZE=2", "PMI_RANK is not"),
        ("RANK=2 WORLD_SIZE=2", "RANK is 2, but WORLD_SIZE is 2: ranks are counted from 0"),
        ("RANK=0 WORLD_SIZE=0", "WORLD_SIZE is 0"),
        ("RANK=-1 WORLD_SIZE=2", "RANK is \"-1\", which is no number"),
        ("RANK=0 WORLD_SIZE=2", "MASTER_ADDR is not"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a", "MASTER_PORT is not"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000", "MASTER_PORT is \"70000\", which is no port"),
        ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=2 LOCAL_WORLD_SIZE=2", "LOCAL_RANK is 2, but LOCAL_WORLD_SIZE is 2"),
        ("RANK=0 WORLD_SIZE=2 LOCAL_WORLD_SIZE=4", "LOCAL_WORLD_SIZE is 4, but WORLD_SIZE is 2"),
        (
            "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_SIZE=1",
            "mpirun -x MASTER_ADDR",
        ),
        (
            "SLURM_PROCID=0 SLURM_NTASKS=2 SLURM_JOB_NODELIST=n[",
            "SLURM_JOB_NODELIST is \"n[\", which names no host",
        ),
    ] {
        let said = refused(list);
        assert!(said.contains(part), "{list}: {said}");
    }
}

fn place(list: &str, ranks: Option<usize>, gpus: &[usize]) -> Result<Place> {
    Place::new(Some(&launch(list)), ranks, gpus.to_vec(), "cuda:…")
}

#[test]
fn ranks_and_gpus_are_shared_out() {
    let at = |place: Result<Place>| {
        let place = place.unwrap();
        (place.first, place.count, place.world, place.gpus)
    };
    // Several processes on a machine: each takes its GPU of the list.
    assert_eq!(at(place(TORCH, None, &[4, 5, 6, 7])), (5, 1, 8, vec![5]));
    assert_eq!(at(place(TORCH, Some(8), &[4, 5, 6, 7])), (5, 1, 8, vec![5]));
    assert_eq!(at(place(&format!("{TORCH} CUDA_VISIBLE_DEVICES=3"), None, &[0])), (5, 1, 8, vec![0]));
    // One for each machine: it drives all GPUs of the list.
    let node = "RANK=1 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1";
    assert_eq!(at(place(node, None, &[0, 1])), (2, 2, 4, vec![0, 1]));
    assert_eq!(
        at(place(&format!("{node} LOCAL_RANK=0 LOCAL_WORLD_SIZE=1"), None, &[0, 1])),
        (2, 2, 4, vec![0, 1])
    );
    // On the CPU, a rank for each process, or as many as asked for.
    assert_eq!(at(place(node, None, &[])), (1, 1, 2, vec![]));
    assert_eq!(at(place(node, Some(6), &[])), (3, 3, 6, vec![]));
    // Without a launcher.
    assert_eq!(at(Place::new(None, None, vec![1, 2], "")), (0, 2, 2, vec![1, 2]));
    assert_eq!(at(Place::new(None, Some(3), vec![], "")), (0, 3, 3, vec![]));
    assert_eq!(place(node, None, &[6, 7]).unwrap().gpu(3), Some(7));
    let said = |place: Result<Place>| place.unwrap_err().to_string();
    assert!(said(place(node, Some(3), &[])).contains("--ranks 3 can not be shared out among 2 processes"));
    assert!(said(place(node, Some(3), &[0, 1])).contains("names 2 GPUs for each of 2 processes for 3 ranks"));
    assert!(said(place(TORCH, None, &[0])).contains("names one GPU for the processes of this machine"));
    assert!(said(Place::new(None, Some(3), vec![0, 1], "cuda:0,1")).contains("names 2 GPUs for 3 ranks"));
}
