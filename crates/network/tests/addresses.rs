//! Definitions on disk and leases, by many at once.

use std::collections::BTreeSet;
use std::net::IpAddr;

use conex_network::{Error, Network, NetworkName, Networks, NewNetwork, Subnet};

fn open(directory: &tempfile::TempDir) -> Networks {
    Networks::open(&directory.path().join("root"), &directory.path().join("run"))
}

fn create(networks: &Networks, name: &str, asked: &NewNetwork) -> Result<Network, Error> {
    networks.create(&name.parse::<NetworkName>().unwrap(), asked, &[])
}

fn small(text: &str) -> NewNetwork {
    NewNetwork {
        subnets: vec![Subnet::new(text.parse().unwrap(), None, None).unwrap()],
        ..NewNetwork::default()
    }
}

#[test]
fn networks_are_found_by_name_and_id() {
    let directory = tempfile::tempdir().unwrap();
    let networks = open(&directory);
    assert_eq!(networks.list().unwrap(), []);
    let (db, web) = (
        create(&networks, "db", &NewNetwork::default()).unwrap(),
        create(&networks, "web", &NewNetwork { v6: true, ..NewNetwork::default() }).unwrap(),
    );
    assert_eq!(open(&directory).list().unwrap(), [db.clone(), web.clone()]);
    assert_eq!(networks.find(&web.id.as_str()[..8]).unwrap(), web);
    assert!(matches!(networks.find("absent"), Err(Error::NotFound { .. })));
    assert!(matches!(networks.find(""), Err(Error::NotFound { .. } | Error::Ambiguous { .. })));
    assert!(matches!(create(&networks, "db", &NewNetwork::default()), Err(Error::Exists { .. })));
    for name in ["host", "none", "bridge"] {
        assert!(
            matches!(create(&networks, name, &NewNetwork::default()), Err(Error::Predefined { .. })),
            "{name}"
        );
    }
    assert_ne!(db.subnets[0].subnet, web.subnets[0].subnet);
    assert!(web.has_v6() && !db.has_v6());
    let overlap = create(&networks, "more", &small(&db.subnets[0].subnet.to_string()));
    assert!(matches!(overlap, Err(Error::Overlap { .. })), "{overlap:?}");
}

#[test]
fn each_address_once() {
    let directory = tempfile::tempdir().unwrap();
    let networks = open(&directory);
    let network = create(&networks, "many", &small("10.99.0.0/24")).unwrap();
    let leased: Vec<IpAddr> = std::thread::scope(|scope| {
        let lease = |number: usize| {
            let (networks, network) = (&networks, &network);
            move || networks.lease(network, &format!("{number:064}"), &[]).unwrap()[0]
        };
        let threads: Vec<_> = (0..200).map(|number| scope.spawn(lease(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(leased.iter().collect::<BTreeSet<_>>().len(), 200);
    assert_eq!(networks.leased(&network).unwrap().len(), 200);
    // Without gaps: 2 to 201.
    assert_eq!(leased.iter().max(), Some(&"10.99.0.201".parse().unwrap()));
    networks.give_back(&network, "someone else", &leased);
    assert_eq!(networks.leased(&network).unwrap().len(), 200);
}

#[test]
fn wishes_and_the_end_of_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let networks = open(&directory);
    let network = create(&networks, "tiny", &small("10.99.0.0/29")).unwrap();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert_eq!(networks.lease(&network, "a", &[ip("10.99.0.4")]).unwrap(), [ip("10.99.0.4")]);
    let error = networks.lease(&network, "b", &[ip("10.99.0.4")]).unwrap_err().to_string();
    assert!(error.contains("10.99.0.4 is in use by a"), "{error}");
    for (wish, word) in
        [("10.99.0.1", "the gateway"), ("10.99.0.7", "subnet itself"), ("10.98.0.1", "no subnet")]
    {
        let error = networks.lease(&network, "b", &[ip(wish)]).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let rest: Vec<IpAddr> = (0..4).map(|_| networks.lease(&network, "b", &[]).unwrap()[0]).collect();
    assert_eq!(rest, [ip("10.99.0.2"), ip("10.99.0.3"), ip("10.99.0.5"), ip("10.99.0.6")]);
    assert!(matches!(networks.lease(&network, "c", &[]), Err(Error::NoAddress { .. })));
    networks.give_back(&network, "b", &rest);
    assert_eq!(networks.lease(&network, "c", &[]).unwrap(), [ip("10.99.0.2")]);

    let name = |id: &str| format!("container {id}");
    let error = networks.remove(&network, name, || Ok(())).unwrap_err().to_string();
    assert!(error.contains("active endpoints: container a, container c"), "{error}");
    networks.give_back(&network, "a", &[ip("10.99.0.4")]);
    networks.give_back(&network, "c", &[ip("10.99.0.2")]);
    networks.remove(&network, name, || Ok(())).unwrap();
    assert!(matches!(networks.lease(&network, "d", &[]), Err(Error::NotFound { .. })));
    assert!(matches!(networks.remove(&network, name, || Ok(())), Err(Error::NotFound { .. })));
}
