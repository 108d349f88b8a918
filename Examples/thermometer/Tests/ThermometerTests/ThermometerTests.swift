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
