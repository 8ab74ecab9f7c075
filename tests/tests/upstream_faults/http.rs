//! A service that refuses requests, or takes them and leaves without an answer.

use weir_tests::harness::folder::Folder;
use weir_tests::harness::http_service::HttpService;
use weir_tests::sim::random::Random;

use crate::{FarEnd, campaign};

#[test]
fn http_misses_nothing_whatever_fails() {
    let folder = Folder::new("upstream-faults-http");
    let service = HttpService::start();
    let address = service.address();
    campaign("http", "http = { batch = 20 }\n", &folder, address, service);
}

impl FarEnd for HttpService {
    fn arrived(&mut self) -> Vec<(String, u64)> {
        let read = |object: &serde_json::Value| {
            (object["id"].as_str().unwrap().to_owned(), object["payload"].as_u64().unwrap())
        };
        self.taken().iter().map(read).collect()
    }

    fn fail(&mut self, random: &mut Random) -> &'static str {
        let requests = 1 + random.below(3) as u32;
        if random.chance(50) {
            self.refuse(requests);
            return "refused";
        }
        self.leave(requests);
        "left_without_an_answer"
    }
}
