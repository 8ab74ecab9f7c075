//! What a rule knows of the client that has published a message.

use crate::support::{Device, Folder};

const RULES: &str = "
[rule.who]
from   = \"in/{name}\"
select = { topic = \"topic\", client = \"client\" }
to     = \"out\"
";

/// `client` was empty in the running broker, whoever had published.
#[test]
fn a_rule_knows_which_client_has_published() {
    for shards in [1, 3] {
        let folder = Folder::new(&format!("client-{shards}"));
        let mut config = folder.config(RULES);
        config.shards = Some(shards);
        let broker = weir_broker::Broker::start(config).unwrap();
        let mut listener = Device::connect(&broker, "listener");
        listener.subscribe("out");
        for name in ["meter-1", "meter-2", "pump", "boiler"] {
            let mut device = Device::connect(&broker, name);
            device.publish(&format!("in/{name}"), "{}");
            let (_, payload) = listener.text();
            assert_eq!(payload, format!("{{\"topic\":\"in/{name}\",\"client\":\"{name}\"}}"));
        }
        broker.shutdown();
    }
}
