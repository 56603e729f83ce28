//! Files as they are found where ZooKeeper runs.

use super::*;
use crate::serve::config::{ConfigError, parse};
use std::fmt::Write as _;
use tempfile::TempDir;

/// A folder with `myid`, and a file that names it for each `DATA`.
fn read_in(folder: &TempDir, text: &str) -> Result<Configured, ConfigError> {
    let data = folder.path().display().to_string();
    parse(Path::new("zoo.cfg"), &text.replace("DATA", &data))
}

fn with_id(id: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("myid"), id).unwrap();
    folder
}

/// What a file comes to, in one line.
fn summary(configured: &Configured) -> String {
    let settings = &configured.settings;
    let replica = &settings.server.replica;
    let mut text = format!(
        "s{} of {} and {}, clients at {}, tick {} init {} sync {}",
        replica.me.number(),
        replica.ensemble.voters().len(),
        replica.ensemble.observers().len(),
        settings.client_address,
        replica.tick.0,
        replica.init_limit_ticks,
        replica.sync_limit_ticks,
    );
    for (server, address) in &settings.peers {
        let _ = write!(text, ", {server} at {address}");
    }
    text
}

/// Reads a file as server 2, if there are several; what it comes to, and the remarks.
#[track_caller]
fn check(text: &str, expected: &str, remarks: &[&str]) {
    let folder = with_id("2\n");
    let configured = read_in(&folder, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(summary(&configured), expected, "{text}");
    let found = &configured.remarks;
    assert_eq!(found.len(), remarks.len(), "{found:#?}");
    for (found, begin) in found.iter().zip(remarks) {
        assert!(found.starts_with(begin), "{found}");
    }
    assert_eq!(configured.data, folder.path().join(FOLDER));
}

/// The reason for which a file is refused.
#[track_caller]
fn refused(id: &str, text: &str, expected: &str) {
    let folder = with_id(id);
    let error = read_in(&folder, text).err().unwrap_or_else(|| panic!("taken: {text}")).to_string();
    let error = error.replace(&folder.path().display().to_string(), "DATA");
    assert_eq!(error, format!("zoo.cfg:{expected}"));
}

const ALONE: &str = "tickTime=2000\ndataDir=DATA\nclientPort=2181\n";
const THREE: &str = "dataDir=DATA\nclientPort=2181\nserver.1=zoo1:2888:3888\nserver.2=zoo2:2888:3888\n\
                     server.3=zoo3:2888:3888\n";
const PORT: &str = "`server.`: the first port";

#[test]
fn the_sample_that_comes_with_zookeeper_is_read() {
    check(
        "# The number of milliseconds of each tick\ntickTime=2000\n# The number of ticks that the \
         initial \n# synchronization phase can take\ninitLimit=10\nsyncLimit=5\ndataDir=DATA\n\
         clientPort=2181\n#maxClientCnxns=60\n#autopurge.snapRetainCount=3\n",
        "s1 of 1 and 0, clients at 0.0.0.0:2181, tick 2000 init 10 sync 5",
        &[],
    );
}

#[test]
fn the_file_that_container_images_write_is_read() {
    check(
        "dataDir=DATA\ndataLogDir=DATA\ntickTime=2000\ninitLimit=5\nsyncLimit=2\n\
         autopurge.snapRetainCount=3\nautopurge.purgeInterval=0\nmaxClientCnxns=60\n\
         standaloneEnabled=true\nadmin.enableServer=true\nserver.1=zoo1:2888:3888;2181\n\
         server.2=0.0.0.0:2888:3888;2181\nserver.3=zoo3:2888:3888;2181\n",
        "s2 of 3 and 0, clients at 0.0.0.0:2181, tick 2000 init 5 sync 2, s1 at zoo1:2888, \
         s2 at 0.0.0.0:2888, s3 at zoo3:2888",
        &[
            "`autopurge.purgeInterval` has no meaning here: ",
            "`standaloneEnabled` has no meaning here: ",
            "`admin.enableServer` has no meaning here: there is no admin server",
            PORT,
        ],
    );
}

#[test]
fn the_file_of_a_message_broker_is_read() {
    // As Kafka's zookeeper.properties.
    check(
        "# the directory where the snapshot is stored.\ndataDir=DATA\nclientPort=2181\n\
         # disable the per-ip limit\nmaxClientCnxns=0\nadmin.enableServer=false\n",
        "s1 of 1 and 0, clients at 0.0.0.0:2181, tick 2000 init 10 sync 5",
        &["`admin.enableServer` has no meaning here: "],
    );
}

#[test]
fn a_file_with_a_file_of_members_is_read_with_roles_and_addresses_for_clients() {
    let folder = with_id("2");
    let members = folder.path().join("zoo.cfg.dynamic.100000000");
    fs::write(
        &members,
        "server.1=10.0.0.1:2888:3888:participant;10.0.0.1:2181\n\
         server.2=[fd00::2]:2888:3888:observer;[fd00::2]:2281\n\
         server.3=10.0.0.3:2888:3888:participant;0.0.0.0:2181\nversion=100000000\n",
    )
    .unwrap();
    let text = "initLimit=10\nsyncLimit=5\ndataDir=DATA\npeerType=observer\nreconfigEnabled=false\n\
                dynamicConfigFile=DATA/zoo.cfg.dynamic.100000000\n4lw.commands.whitelist=*\n";
    let configured = read_in(&folder, text).unwrap();
    assert_eq!(
        summary(&configured),
        "s2 of 2 and 1, clients at [fd00::2]:2281, tick 2000 init 10 sync 5, s1 at 10.0.0.1:2888, \
         s2 at [fd00::2]:2888, s3 at 10.0.0.3:2888"
    );
    assert_eq!(configured.remarks.len(), 1, "{:?}", configured.remarks);
}

#[test]
fn the_file_of_an_operator_who_tunes_is_read_and_what_is_tuned_in_vain_is_named() {
    let folder = with_id("2");
    let text = format!(
        "{THREE}minSessionTimeout=1000\nmaxSessionTimeout=90000\nsnapCount=5000\n\
         autopurge.snapRetainCount=5\nclientPortAddress=10.1.2.3\nmaxCnxns=500\n\
         4lw.commands.whitelist=stat, ruok, conf, wchc\npreAllocSize=65536\nforceSync=yes\n\
         metricsProvider.className=org.example.Provider\nquorumListenOnAllIPs=true\n\
         globalOutstandingLimit=1000\nzookeeper.electionPortBindRetry=3\nmySwitch=on\n"
    );
    let configured = read_in(&folder, &text).unwrap();
    let settings = &configured.settings;
    assert_eq!(settings.server.session_timeout_min, Millis(1_000));
    assert_eq!(settings.server.session_timeout_max, Millis(90_000));
    assert_eq!(settings.server.replica.snapshot_every_entries, 5_000);
    assert_eq!(settings.storage.snapshots_kept, 5);
    assert_eq!(settings.server.clients_max, 500);
    assert_eq!(settings.client_address, Address::from("10.1.2.3:2181"));
    assert_eq!(settings.peers[&settings.server.replica.me], Address::from("0.0.0.0:2888"));
    let words: Vec<_> =
        settings.server.words.iter().map(|word| String::from_utf8_lossy(word.as_bytes())).collect();
    assert_eq!(words.join(" "), "ruok isro stat conf");
    let named: Vec<_> = configured.remarks.iter().map(|r| r.split('`').nth(1).unwrap()).collect();
    assert_eq!(
        named,
        [
            "preAllocSize",
            "forceSync",
            "metricsProvider.className",
            "globalOutstandingLimit",
            "electionPortBindRetry",
            "mySwitch",
            "4lw.commands.whitelist",
            "server.",
        ]
    );
}

#[test]
fn everything_is_in_the_folder_of_the_log_if_that_has_one_of_its_own() {
    let (folder, log) = (with_id("2"), TempDir::new().unwrap());
    let text = format!("{THREE}dataLogDir={}\n", log.path().display());
    let configured = read_in(&folder, &text).unwrap();
    assert_eq!(configured.data, log.path().join(FOLDER));
    assert!(configured.remarks.iter().any(|remark| remark.starts_with("`dataLogDir`: ")));
}

#[test]
fn what_would_not_be_kept_is_refused_with_its_line() {
    for (added, expected) in [
        (
            "secureClientPort=2281",
            "`secureClientPort` cannot be honoured: there is no TLS here: put a proxy before `clientPort`",
        ),
        (
            "sslQuorum=true",
            "`sslQuorum` cannot be honoured: links between servers are not encrypted here: use a private network",
        ),
        (
            "ssl.keyStore.location=/k",
            "`ssl.keyStore.location` cannot be honoured: there is no TLS here: remove it, or put a proxy before the server",
        ),
        (
            "authProvider.1=org.example.SASL",
            "`authProvider.1` cannot be honoured: only world, auth, digest, ip and super are known here",
        ),
        (
            "quorum.auth.enableSasl=true",
            "`quorum.auth.enableSasl` cannot be honoured: servers do not authenticate each other here",
        ),
        (
            "group.1=1:2:3",
            "`group.1` cannot be honoured: a quorum is a majority of all voters here",
        ),
        (
            "reconfigEnabled=true",
            "`reconfigEnabled` cannot be honoured: members change by a restart with `membership_changed` here",
        ),
        (
            "zookeeper.skipACL=yes",
            "`skipACL` cannot be honoured: access lists are always checked here",
        ),
        (
            "electionAlg=0",
            "`electionAlg` cannot be honoured: there is one algorithm here, as ZooKeeper's 3",
        ),
        ("ticktime=2000", "`ticktime`: expected `tickTime`"),
        ("tickTime=long", "`tickTime` is `long`, expected 10 to 86400000"),
        ("initLimit=0", "`initLimit` is `0`, expected 1 to 10000"),
        ("maxSessionTimeout=5", "sessions last 4000 ms to 5 ms, expected the longest last"),
        ("server.x=h:1:2", "`server.x`: expected a number from 1 to 255"),
        (
            "server.4=h",
            "`server.4`: expected host:port:port, with `:observer` or `:participant` behind it",
        ),
        (
            "server.4=h:1:2:leader",
            "`server.4`: expected host:port:port, with `:observer` or `:participant` behind it",
        ),
        ("server.4=h:1:2;x", "`server.4`: expected `;port` or `;host:port`"),
        (
            "server.4=h:1:2|i:1:2",
            "`server.4`: a server has one address here: keep one of those between the bars",
        ),
        ("server.4=zoo1:2888:3888", "`server.4` has the address of line 3"),
        ("server.3=h:1:2", "`server.3` is there twice"),
        ("peerType=observer", "`peerType` contradicts line 4: change one"),
    ] {
        refused("2", &format!("{THREE}{added}\n"), &format!("6: {expected}"));
    }
    // What says that there be none of it does no harm.
    for harmless in
        ["sslQuorum=false", "quorum.auth.enableSasl=false", "electionAlg=3", "skipACL=no"]
    {
        let folder = with_id("2");
        let configured = read_in(&folder, &format!("{THREE}{harmless}\n")).unwrap();
        assert_eq!(configured.remarks.len(), 1, "{:?}", configured.remarks);
    }
}

#[test]
fn a_key_in_another_letter_case_is_refused_whatever_it_would_do() {
    let other_case = |name: &str| {
        let lower = name.to_ascii_lowercase();
        if lower == name { name.to_ascii_uppercase() } else { lower }
    };
    let refused_names = REFUSED.iter().map(|(name, ..)| *name);
    let names = READ.iter().copied().chain(refused_names);
    for name in names.chain(WITHOUT_MEANING.iter().map(|(name, _)| *name)).chain([SERVER]) {
        let rest = if name.ends_with('.') { "1" } else { "" };
        for prefix in ["", "zookeeper.", "ZooKeeper."] {
            let (key, right) = (format!("{}{rest}", other_case(name)), format!("{name}{rest}"));
            let added = format!("{prefix}{key}=false");
            let expected = format!("4: `{key}`: expected `{right}`");
            refused("1", &format!("{ALONE}{added}\n"), &expected);
        }
    }
    let listed = TempDir::new().unwrap();
    let members = listed.path().join("members");
    fs::write(&members, "Server.1=h:1:2\nversion=100000000\n").unwrap();
    let text = format!("{ALONE}dynamicConfigFile={}\n", members.display());
    refused("1", &text, "4: `Server.1`: expected `server.1`");
}

#[test]
fn a_server_must_know_which_it_is() {
    refused("7", THREE, "1: DATA/myid says 7, and there is no `server.7`");
    refused("two", THREE, "1: DATA/myid: expected a number from 1 to 255");
    let folder = TempDir::new().unwrap();
    let error = read_in(&folder, THREE).unwrap_err().to_string();
    assert!(
        error.ends_with("/myid is missing: write the number of this server into it"),
        "{error}"
    );
    refused("1", "clientPort=2181\n", "1: `dataDir` is missing: name the folder of the data");
    refused("1", "dataDir=DATA\n", "1: `clientPort` is missing: name the port for clients");
}

#[test]
fn the_data_of_a_zookeeper_is_not_taken_for_an_empty_folder() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join(FOLDER_OF_ZOOKEEPER)).unwrap();
    let error = read_in(&folder, ALONE).unwrap_err().to_string();
    let advice = "holds the data of a ZooKeeper, which cannot be read: name another `dataDir`";
    assert!(error.starts_with("zoo.cfg:2: ") && error.ends_with(advice), "{error}");
}

#[test]
fn a_file_is_known_by_its_ending_or_by_its_keys() {
    for (name, text, expected) in [
        ("zoo.cfg", "", true),
        ("zookeeper.properties", "", true),
        ("server.toml", "dataDir=x", false),
        ("zookeeper", "tickTime=2000\ndataDir=/d\n", true),
        ("zookeeper.conf", "dataDir: /d\n", true),
        ("mailstorm", "id = 1\ndata = \"d\"\n", false),
    ] {
        assert_eq!(is_one(Path::new(name), text), expected, "{name}");
    }
}
