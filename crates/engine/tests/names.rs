//! The names' protocol against itself: many claimants, one winner each time, and no name lost or kept by nobody.

use std::sync::Barrier;

use conex_engine::store::names::{Claimed, claim, hold, holder};
use conex_oci::ContainerId;

fn id(number: u8) -> ContainerId {
    ContainerId::from_random([number; 32])
}

// Locks belong to open files, so that threads exclude each other as processes do.
#[test]
fn of_many_claimants_one_wins() {
    let place = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let (name, barrier) = (format!("web{round}"), Barrier::new(8));
        let winners: Vec<ContainerId> = std::thread::scope(|scope| {
            let claimants: Vec<_> = (1..=8)
                .map(|number| {
                    let (name, barrier, place) = (&name, &barrier, place.path());
                    scope.spawn(move || {
                        barrier.wait();
                        match claim(place, name, &id(number), |_| Ok(true)).unwrap() {
                            Claimed::Ours(_) => Some(id(number)),
                            Claimed::Taken(holder) => {
                                assert_ne!(holder, id(number));
                                None
                            }
                        }
                    })
                })
                .collect();
            claimants.into_iter().filter_map(|claimant| claimant.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(holder(place.path(), &name).unwrap().as_ref(), winners.first());
    }
}

#[test]
fn of_many_who_take_over_a_stale_name_one_wins() {
    let place = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let (name, barrier, stale) = (format!("web{round}"), Barrier::new(8), id(0xff));
        drop(claim(place.path(), &name, &stale, |_| Ok(true)).unwrap());
        let winners = std::thread::scope(|scope| {
            let claimants: Vec<_> = (1..=8)
                .map(|number| {
                    let (name, barrier, stale, place) = (&name, &barrier, &stale, place.path());
                    scope.spawn(move || {
                        barrier.wait();
                        let claimed = claim(place, name, &id(number), |holder| Ok(holder != stale)).unwrap();
                        matches!(claimed, Claimed::Ours(_))
                    })
                })
                .collect();
            claimants.into_iter().filter_map(|claimant| claimant.join().ok()).filter(|won| *won).count()
        });
        assert_eq!(winners, 1, "round {round}");
        let now = holder(place.path(), &name).unwrap().unwrap();
        assert_ne!(now, stale);
        hold(place.path(), &name, &now).unwrap().expect("its own").forfeit().unwrap();
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
