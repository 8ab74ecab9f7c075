# A menu: every line here is a command that also stands somewhere else.

# Show the menu
default:
    @just --justfile .justfile --list

# Everything that has to pass before a change lands
ci:
    .ci/run

# All tests, with the foreign programs that they need
test *arguments:
    tests/run {{arguments}}

# The tests that need no foreign program
quick:
    cargo test --workspace --all-features

# The tests of one file of tests/tests
one name *arguments:
    cargo test --package weir-tests --test {{name}} -- {{arguments}}

# Kill the broker a thousand times
kill rounds="1000" lanes="6":
    WEIR_KILL_ROUNDS={{rounds}} WEIR_KILL_LANES={{lanes}} cargo test --release --package weir-tests --test durability -- --nocapture

# Cut the power of a simulated gateway
power cuts="10" memory="512":
    tests/cross/pi-sim --cuts {{cuts}} --memory {{memory}}

# The static binary for a 64-bit ARM gateway, with every kind of upstream
cross:
    tests/cross/build --profile dist

# The static ARM binaries in an emulator, killed under load
arm rounds="20":
    tests/cross/arm-run --rounds {{rounds}}

# The memory of a simulated gateway with the packaged configuration
gateway memory="512 96":
    tests/cross/pi-sim --packaged --memory "{{memory}}"

# Packages of Debian, static programs and archives for containers
package *architectures:
    tests/package/build {{architectures}}

# The sizes of what is shipped, against those on record
size *targets:
    tests/cross/size {{targets}}

# The example of a firmware in an emulated board, its serial line on a pseudo terminal
firmware serial="pty":
    tests/cross/firmware-sim --serial {{serial}}

# What a node takes of a microcontroller
budget:
    tests/cross/node-budget

# Ten minutes without an upstream
outage seconds="600":
    WEIR_OUTAGE_SECONDS={{seconds}} cargo test --release --package weir-tests --test upstream_outage -- --nocapture

# A day's backlog drains to each kind of upstream
drain *arguments:
    cargo bench --package weir-tests --bench drain -- {{arguments}}

# Weir beside the other brokers that are installed
compare *arguments:
    tests/load/run {{arguments}}

# Format and lint
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# The documentation of the crates
doc:
    cargo doc --workspace --all-features --no-deps --open

# Fuzz one target
fuzz target="decode" seconds="60":
    cargo +nightly fuzz run --fuzz-dir tests/fuzz {{target}} -- -max_total_time={{seconds}}

# What is shipped, with every kind of upstream
dist:
    cargo build --profile dist --all-features

# Thousands of seeds of the simulator
simulate seeds="5000":
    WEIR_SIM_SEEDS={{seeds}} cargo test --release --package weir-tests --test simulation -- --nocapture

# Faults in a copy of the source, each of which the simulator must find
mutations fault="":
    WEIR_FAULT={{fault}} cargo test --package weir-tests --test mutations -- --ignored --nocapture
