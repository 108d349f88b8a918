// What `userdriver driver new` lays down. Scripts/driver-template writes this file from Examples/thermometer: change it there.

extension DriverTemplate {
    /// Paths and texts, for a driver named thermometer.
    static let files: [(path: String, text: String)] = [
        (
            ".gitignore",
            ###"""
            .build/
            Package.resolved

            """###
        ),
        (
            "Makefile",
            ###"""
            # make test     kills, hangs and unplugs the driver over a device in software
            # make run      the same device and the driver to play with; Ctrl-C ends it
            # make bundle   .build/thermometer.driver, to be signed and installed
            SWIFT ?= swift
            # Where userdriver and userdriverd are: the checkout's own, where USERDRIVER_CHECKOUT names one.
            USERDRIVER_BIN ?= $(if $(USERDRIVER_CHECKOUT),$(USERDRIVER_CHECKOUT)/.build/release,$(abspath ../../.build/release))
            export USERDRIVER_BIN
            # Of a checkout only what drivers need, which fetches nothing.
            export USERDRIVER_FRAMEWORK_ONLY = 1
            PORT ?= 3241
            RUNTIME ?= /tmp/thermometer-$(shell id -u)

            .PHONY: test run bundle clean

            test:
            	$(SWIFT) test

            run:
            	$(SWIFT) build
            	$(call make_bundle,.build/debug,.build/debug/thermometer.driver)
            	.build/debug/emulate-thermometer $(PORT) & trap "kill $$!" EXIT; \
            	$(USERDRIVER_BIN)/userdriver up --attach usbip://127.0.0.1:$(PORT)/1-1 --drivers .build/debug/thermometer.driver \
            		--allow-unsigned --runtime-dir $(RUNTIME)

            bundle:
            	$(SWIFT) build -c release --static-swift-stdlib --product thermometer-driver
            	$(call make_bundle,.build/release,.build/thermometer.driver)
            	@echo "Sign it: userdriver driver sign .build/thermometer.driver --key ~/.ssh/id_ed25519"

            # $(1): where the executable is, $(2): the bundle.
            make_bundle = rm -rf $(2) && mkdir -p $(2) && cp -R driver.yaml interfaces $(1)/thermometer-driver $(2)/

            clean:
            	rm -rf .build

            """###
        ),
        (
            "Package.swift",
            ###"""
            // swift-tools-version: 6.2
            import PackageDescription

            // The framework's source: the checkout that USERDRIVER_CHECKOUT names, or this folder.
            let framework = Context.environment["USERDRIVER_CHECKOUT"] ?? "../.."

            let package = Package(
                name: "thermometer",
                dependencies: [.package(name: "UserDriver", path: framework)],
                targets: [
                    // Swift's runtime is linked in: a sandboxed driver can't read the toolchain's folder. Tests
                    // can't be linked so, and don't depend on it; `swift test` builds it all the same.
                    .executableTarget(
                        name: "thermometer-driver", dependencies: [.product(name: "UserDriver", package: "UserDriver")],
                        linkerSettings: [.unsafeFlags(["-static-stdlib"])]),
                    // The device in software: for tests, and for `make run`.
                    .target(name: "ThermometerEmulation", dependencies: [.product(name: "USBEmulation", package: "UserDriver")]),
                    .executableTarget(
                        name: "emulate-thermometer",
                        dependencies: ["ThermometerEmulation", .product(name: "USBEmulation", package: "UserDriver")]),
                    .testTarget(
                        name: "ThermometerTests",
                        dependencies: ["ThermometerEmulation", .product(name: "DriverTesting", package: "UserDriver")]),
                ])

            """###
        ),
        (
            "README.md",
            ###"""
            # thermometer

            A USB driver outside the kernel, with a device in software to try it on.

            | | |
            |---|---|
            | `make test` | kills, hangs and unplugs the driver while it is in use |
            | `make run` | device, driver and daemon in the foreground; then in another terminal: `userdriver call thermometer Read` |
            | `make bundle` | the folder that is signed and installed |

            | file | what it is |
            |---|---|
            | [driver.yaml](driver.yaml) | which devices the driver takes, and what it may touch |
            | [interfaces/](interfaces) | what programs can call |
            | [Driver.swift](Sources/thermometer-driver/Driver.swift) | the driver |
            | [ThermometerDevice.swift](Sources/ThermometerEmulation/ThermometerDevice.swift) | the device in software |
            | [ThermometerTests.swift](Tests/ThermometerTests/ThermometerTests.swift) | what must hold |

            Start with `driver.yaml`: put your device's vendor and product ID there (`lsusb`, `userdriver
            inspect`), your own name in place of `org.example`. Then teach the device in software to answer as yours
            does.

            """###
        ),
        (
            "driver.yaml",
            ###"""
            id: org.example.thermometer
            version: 0.1.0
            kind: thermometer
            executable: thermometer-driver
            match:
              - device: "1209:0002"     # vendor and product ID; lsusb shows your device's
            interfaces:
              - {class: 0xff}           # of the device, what the driver may claim; the rest is closed to it
            provides:
              - interface: org.example.thermometer    # interfaces/org.example.thermometer.varlink
                methods:
                  Read: {idempotent: true}                                # asked again when the driver dies
                  Watch: {idempotent: true, resumes: true, deadline: 15s} # also in the middle; 15 s from reply to reply
                  SetInterval: {idempotent: true}

            """###
        ),
        (
            "Sources/ThermometerEmulation/ThermometerDevice.swift",
            ###"""
            // The device in software: what it is, and what it answers.

            import Synchronization
            public import USB
            public import USBEmulation

            /// Measures every so often, and says so on interrupt IN 1: hundredths and a counter, two bytes
            /// each, little endian.
            public final class ThermometerDevice: EmulatedDevice {
                public let descriptors = EmulatedDescriptors(
                    speed: .full,
                    device: [
                        18, 1, 0x00, 0x02,  // USB 2.0
                        0, 0, 0, 64,  // the class is the interface's, 64 bytes at endpoint 0
                        0x09, 0x12, 0x02, 0x00,  // 1209:0002, which pid.codes keeps for tests
                        0x00, 0x01, 1, 2, 3, 1,  // version 1.00, strings 1 to 3, one configuration
                    ],
                    configurations: [
                        [
                            9, 2, 25, 0, 1, 1, 0, 0x80, 50,  // Configuration 1: 25 bytes, one interface, 100 mA.
                            9, 4, 0, 0, 1, 0xff, 0, 0, 0,  // Interface 0, vendor-specific, one endpoint.
                            7, 5, 0x81, 3, 4, 0, 5,  // Interrupt IN 1, 4 bytes every 5 ms.
                        ]
                    ], strings: [1: "Example", 2: "Thermometer", 3: "0001"])

                private struct State {
                    var interval: UInt64 = 1_000_000_000
                    var next: UInt64 = 0
                    var number: UInt16 = 0
                }
                private let state = Mutex(State())

                public init() {}

                /// Milliseconds between readings, for tests.
                public var interval: Int { state.withLock { Int($0.interval / 1_000_000) } }

                /// Plugged in, or reset: everything is as new.
                public func attached(now: UInt64, signal: any EmulationSignal) { state.withLock { $0 = State() } }

                /// The requests that are the device's own; those that every device has are answered already.
                public func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
                    guard setup.requestType == 0x41, setup.request == 1, setup.value >= 10 else { return .stall }
                    state.withLock { state in
                        state.interval = UInt64(setup.value) * 1_000_000
                        state.next = min(state.next, now + state.interval)
                    }
                    return .accepted
                }

                public func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
                    state.withLock { state in
                        guard now >= state.next else { return .later(at: state.next) }
                        state.next = now + state.interval
                        state.number &+= 1
                        let hundredths = 2000 + state.number % 100
                        let report = [hundredths & 0xff, hundredths >> 8, state.number & 0xff, state.number >> 8].map { UInt8($0) }
                        buffer.copyBytes(from: report.prefix(buffer.count))
                        return .data(count: min(report.count, buffer.count), ends: true)
                    }
                }
            }

            """###
        ),
        (
            "Sources/emulate-thermometer/main.swift",
            ###"""
            // Serves the device in software over USB/IP, for `make run`.

            import Glibc
            import ThermometerEmulation
            import USBEmulation

            let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 3241
            let server = EmulationServer(devices: [("1-1", ThermometerDevice())], port: port)
            print("usbip://127.0.0.1:\(try server.start())/1-1")
            while true { pause() }

            """###
        ),
        (
            "Sources/thermometer-driver/Driver.swift",
            ###"""
            // The driver: takes the device's readings, and answers the interface that programs call.

            import Synchronization
            import USB
            import UserDriver
            import Wire

            @main
            enum Entry {
                static func main() { DriverProcess.run(ThermometerDriver.self) }
            }

            /// It may die at any line, and the next process takes its place: whatever that one needs to know
            /// goes into the record.
            actor ThermometerDriver: Driver {
                static let name = "thermometer-driver"
                nonisolated let facts = DriverFacts(kind: "thermometer", name: "Thermometer", interfaces: ["org.example.thermometer"])

                /// Interrupt IN 1: four bytes a reading.
                private static let readings = EndpointAddress(rawValue: 0x81)
                /// `bRequest` of the vendor request that sets the milliseconds between readings (`wValue`).
                private static let setIntervalRequest: UInt8 = 1
                private static let intervals = 10...10_000

                private let context: DriverContext
                private nonisolated let latest = Mutex(Reading(value: 0, number: 0))
                private var interval = 1000

                private struct Reading: Sendable {
                    var value: Double
                    var number: UInt16
                    var json: JSONValue { ["reading": ["value": .double(value), "number": .int(Int64(number))]] }
                }

                private init(_ context: DriverContext) { self.context = context }

                /// Returns when the driver can answer. `userdriver status` shows what it throws as the reason.
                static func start(_ context: DriverContext) async throws -> ThermometerDriver {
                    try await context.device.claim(interface: 0)
                    let driver = ThermometerDriver(context)
                    // A device that was plugged in again has forgotten its interval; the record has not.
                    if let interval = context.record?["interval"]?.intValue { try await driver.setInterval(interval) }
                    let reports = context.reports(from: readings, length: 4)
                    for try await report in reports where driver.take(report) { break }
                    Task { await driver.listen(to: reports) }
                    return driver
                }

                func call(_ call: ServiceCall) async throws -> JSONValue {
                    switch call.method {
                    case "Read": return latest.withLock { $0.json }
                    case "Watch":
                        while true {
                            try call.replyMore(latest.withLock { $0.json })
                            try await Task.sleep(for: .milliseconds(interval))
                        }
                    case "SetInterval":
                        guard let milliseconds = call.parameters["milliseconds"]?.intValue, Self.intervals.contains(milliseconds) else {
                            throw CallError("OutOfRange", "The interval is 10 to 10000 ms.", detail: ["minimum": 10, "maximum": 10_000])
                        }
                        try await setInterval(milliseconds)
                        return [:]
                    default: throw CallError("NotSupported", "There is no method \(call.method).")
                    }
                }

                /// For `userdriver status`.
                nonisolated func statistics() -> DriverStatistics {
                    DriverStatistics(shown: ["value": .double(latest.withLock { $0.value })])
                }

                func stop() async { context.device.close() }

                private func setInterval(_ milliseconds: Int) async throws {
                    let setup = ControlSetup(
                        requestType: 0x41, request: Self.setIntervalRequest, value: UInt16(clamping: milliseconds), index: 0, length: 0)
                    _ = try await context.device.control(setup, sending: [], timeout: .seconds(1))
                    interval = milliseconds
                    context.supervisor.record(["interval": .int(Int64(milliseconds))])
                }

                private func listen(to reports: AsyncThrowingStream<[UInt8], any Error>) async {
                    do {
                        for try await report in reports { take(report) }
                    } catch {
                        // A driver that can't go on says why and ends: the supervisor starts another one.
                        context.supervisor.fail("The readings have ended: \(error)")
                    }
                }

                /// The device's bytes are not trusted, not even their number.
                @discardableResult
                private nonisolated func take(_ report: [UInt8]) -> Bool {
                    guard report.count == 4 else { return false }
                    let hundredths = Int16(bitPattern: UInt16(report[0]) | UInt16(report[1]) << 8)
                    latest.withLock { $0 = Reading(value: Double(hundredths) / 100, number: UInt16(report[2]) | UInt16(report[3]) << 8) }
                    return true
                }
            }

            """###
        ),
        (
            "Tests/ThermometerTests/ThermometerTests.swift",
            ###"""
            // The driver under a real supervisor, over the device in software, through everything that can
            // happen to it.

            import DriverTesting
            import Testing
            import ThermometerEmulation
            import Wire

            @Suite(.timeLimit(.minutes(2))) struct ThermometerTests {
                private static let interface = "org.example.thermometer"

                @Test func measures() async throws {
                    try await DriverBench.run(package: #filePath, device: ThermometerDevice()) { bench in
                        let reading = try await bench.call("\(Self.interface).Read")["reading"]
                        #expect(reading?["value"]?.doubleValue.map { 20...21 ~= $0 } == true)
                    }
                }

                @Test func isKilledUnderUseAndAnswersAllTheSame() async throws {
                    try await DriverBench.run(package: #filePath, device: ThermometerDevice()) { bench in
                        _ = try await bench.call("\(Self.interface).SetInterval", ["milliseconds": 10])
                        for _ in 1...20 {
                            async let answer = bench.call("\(Self.interface).Read")
                            try await bench.kill()
                            #expect(try await answer["reading"] != nil)
                        }
                    }
                }

                @Test func isWatchedOverADeath() async throws {
                    try await DriverBench.run(package: #filePath, device: ThermometerDevice()) { bench in
                        _ = try await bench.call("\(Self.interface).SetInterval", ["milliseconds": 10])
                        var seen = 0
                        for try await reply in bench.replies(to: "\(Self.interface).Watch") {
                            #expect(reply["reading"] != nil)
                            seen += 1
                            if seen % 5 == 0 { try await bench.kill() }
                            if seen == 20 { break }
                        }
                        #expect(seen == 20)
                    }
                }

                @Test func keepsItsIntervalWhenItIsPluggedInAgain() async throws {
                    let device = ThermometerDevice()
                    try await DriverBench.run(package: #filePath, device: device) { bench in
                        _ = try await bench.call("\(Self.interface).SetInterval", ["milliseconds": 25])
                        try await bench.unplug()
                        try await bench.plug()
                        #expect(device.interval == 25)
                    }
                }

                @Test func aHangIsADeath() async throws {
                    try await DriverBench.run(package: #filePath, device: ThermometerDevice()) { bench in
                        try await bench.hang()
                        #expect(try await bench.call("\(Self.interface).Read")["reading"] != nil)
                        #expect(try await bench.crashes().last?.cause.contains("heartbeat") == true)
                    }
                }

                @Test func refusesAnIntervalThatMakesNoSense() async throws {
                    try await DriverBench.run(package: #filePath, device: ThermometerDevice()) { bench in
                        let error = await #expect(throws: CallError.self) {
                            _ = try await bench.call("\(Self.interface).SetInterval", ["milliseconds": 0])
                        }
                        #expect(error?.code == "OutOfRange")
                    }
                }
            }

            """###
        ),
        (
            "interfaces/org.example.thermometer.varlink",
            ###"""
            # What a thermometer measures.
            interface org.example.thermometer

            # `number` counts what the device has measured since it was plugged in.
            type Reading (value: float, number: int)

            # The latest reading.
            method Read() -> (reading: Reading)

            # Readings from now on; call it with `more`.
            method Watch() -> (reading: Reading)

            # How often the device measures: every 10 to 10000 milliseconds.
            method SetInterval(milliseconds: int) -> ()

            error OutOfRange (message: string, minimum: int, maximum: int)

            """###
        ),
    ]
}
