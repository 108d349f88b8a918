// A driver that is somebody else's, with an interface that this project has never heard of, called
// and killed.

import Glibc
import Testing
import UserDriverClient
import Wire

@testable import Supervisor

@Suite(.timeLimit(.minutes(10))) struct ThermometerTests {
    private static let interface = "org.example.thermometer"

    @Test func isCalledByAnyProgramTheDayItIsInstalled() async throws {
        let bench = try await ThermometerBench()
        let status = try await bench.running()
        #expect(status.signer == "author@example.org" && status.kind == "thermometer")

        let read = try await bench.userdriver("call", "thermometer", "Read")
        #expect(read.status == 0, "\(read.errors)")
        let reply = try JSON.decode(JSONValue.self, from: read.text.utf8)
        #expect(reply["reading"]?["degrees"] == 21.5 && reply["reading"]?["unit"] == "celsius")
        let full = try await bench.userdriver("call", "1209:0001", "org.example.thermometer.SetUnit", #"{"unit": "fahrenheit"}"#)
        #expect(full.text == "{\"unit\":\"fahrenheit\"}\n", "\(full)")

        let list = try await bench.userdriver("call", "thermometer", "--list")
        #expect(
            list.text.contains("Read(milliseconds: ?int) -> (reading: Reading)") && list.text.contains("repeated when the driver dies"))
        #expect(list.text.contains("answers within 5 s") && list.text.contains("answers within 12 s"))
        let listed = try JSON.decode(JSONValue.self, from: try await bench.userdriver("call", "thermometer", "--list", "--json").text.utf8)
        guard case .array(let services) = listed["services"] else { throw CallError("End", "no list") }
        #expect(services.first?["interface"] == .string(Self.interface))

        let watched = try await bench.userdriver("call", "thermometer", "Watch", #"{"milliseconds": 1, "count": 3}"#, "--more")
        #expect(watched.status == 0 && watched.text.split(separator: "\n").count == 3, "\(watched)")
        await bench.stop()
    }

    @Test(arguments: [
        (["thermometer", "Raed"], 2, "Did you mean Read?"), (["thermometer", "Read", "{"], 2, "not JSON"),
        (["thermometer", "Read", "[1]"], 2, "JSON object"), (["thermometer", "SetUnit", #"{"unit": 3}"#], 2, "unit must be of the type"),
        (["thermometer", "SetUnit"], 2, "unit is missing"), (["thermometer", "SetUnit", #"{"unit": "kelvin"}"#], 2, "celsius, fahrenheit"),
        (["barometer", "Read"], 3, "barometer"), (["thermometer"], 2, "Which method?"), ([" ", "Read"], 2, "empty"),
        (["thermometer", "org.example.barometer.Read"], 2, "org.example.thermometer.Read"),
        (["thermometer", "Watch", #"{"milliseconds": 1}"#], 1, "with `more`"),
    ])
    func saysWhatIsWrong(arguments: [String], status: Int32, words: String) async throws {
        let bench = try await ThermometerBench()
        let result = try await ThermometerBench.output(Bench.executable("userdriver"), ["call"] + arguments, runtime: bench.folder.path)
        #expect(result.status == status && result.errors.contains(words), "\(result)")
        await bench.stop()
    }

    @Test func aDaemonThatDoesNotRunIsNoHang() async throws {
        let result = try await ThermometerBench.output(Bench.executable("userdriver"), ["call", "x", "Read"], runtime: "/nonexistent")
        #expect(result.status == 1 && result.errors.contains("daemon is not running"))
    }

    @Test func describesItselfFromItsBundle() async throws {
        let bench = try await ThermometerBench()
        let definition = try await bench.client.definition(of: Self.interface)
        #expect(definition.methods.map(\.name).contains("Watch"))
        let info = try await TestClient(bench.folder.path + "/io.userdriver").call("org.varlink.service.GetInfo")
        #expect(info["interfaces"] == ["org.varlink.service", "io.userdriver", "org.example.thermometer"])
        #expect(try await bench.client.drivers().first?.provides == [Self.interface])
        await bench.stop()
    }

    @Test func showsWhatItsClassHas() async throws {
        let bench = try await ThermometerBench()
        _ = try await bench.client.call("\(Self.interface).Read")
        // The next heartbeat brings it.
        while try await bench.client.device().shown?["temperature"] != 21.5 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(try await bench.userdriver("status").text.contains("temperature 21.5"))
        await bench.stop()
    }

    @Test func itsErrorsArriveWithTheirParameters() async throws {
        let bench = try await ThermometerBench()
        let error = try await #require(throws: ClientError.self) {
            _ = try await bench.client.call("\(Self.interface).SetUnit", ["unit": "kelvin"])
        }
        #expect(error.name == "org.example.thermometer.OutOfRange" && error.parameters?["maximum"] == 125)
        #expect(error.message == "There is no such unit. Ask for celsius.")
        await bench.stop()
    }

    @Test func callsKilledInTheMiddleAreAnsweredAllTheSame() async throws {
        let bench = try await ThermometerBench()
        let client = bench.client
        let first = try await bench.running().pid
        async let readings = withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let reply = try await client.call("\(Self.interface).Read", ["milliseconds": 300])
                    return try #require(reply.parameters["reading"]?["process"]?.intValue)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let unit = Task { try await client.call("\(Self.interface).SetUnit", ["unit": "fahrenheit", "milliseconds": 60_000]) }
        // All nine have gone out to the driver.
        while try await inFlight(bench) < 9 { try await Task.sleep(for: .milliseconds(1)) }
        kill(first, SIGKILL)
        #expect(try await readings.allSatisfy { $0 != Int(first) })
        let failure = try await #require(throws: ClientError.self) { try await unit.value }
        #expect(failure.code == .driverRestarted)
        await bench.stop()
    }

    private func inFlight(_ bench: ThermometerBench) async throws -> Int {
        await bench.supervisor.callsInFlight
    }

    @Test func aWatchGoesOnOverADeath() async throws {
        let bench = try await ThermometerBench()
        let first = try await bench.running().pid
        var processes: Set<Int> = []
        for try await reply in bench.client.replies(to: "\(Self.interface).Watch", ["milliseconds": 5]) {
            let process = try #require(reply.parameters["reading"]?["process"]?.intValue)
            if processes.isEmpty { kill(first, SIGKILL) }
            processes.insert(process)
            if processes.count == 2 { break }
        }
        #expect(processes.contains(Int(first)) && processes.count == 2)
        await bench.stop()
    }

    @Test func whoGoesAwayCancels() async throws {
        let bench = try await ThermometerBench()
        let client = bench.client
        let task = Task { try await client.call("\(Self.interface).Wait") }
        while try await inFlight(bench) < 1 { try await Task.sleep(for: .milliseconds(1)) }
        task.cancel()
        _ = await task.result
        while try await client.call("\(Self.interface).Cancelled").parameters["count"] != 1 { try await Task.sleep(for: .milliseconds(1)) }
        await bench.stop()
    }

    @Test func memoryGoesBothWays() async throws {
        let bench = try await ThermometerBench()
        let reply = try await bench.client.call("\(Self.interface).History", ["bytes": 200_000])
        #expect(reply.memory.count == 1 && reply.memory[0].bytes == (0..<200_000).map { UInt8($0 % 251) })
        let sum = try await bench.client.call(
            "\(Self.interface).Calibrate", memory: [[UInt8](repeating: 1, count: 100_000), [UInt8](repeating: 2, count: 10)])
        #expect(sum.parameters["sum"] == 100_020)
        // It goes with one call, and with no other.
        #expect(try await bench.client.call("\(Self.interface).Calibrate").parameters["sum"] == 0)
        await bench.stop()
    }

    @Test func whatIsTooLargeIsSaidAndNothingEnds() async throws {
        let bench = try await ThermometerBench()
        let first = try await bench.running().pid
        let error = try await #require(throws: ClientError.self) {
            _ = try await bench.client.call("\(Self.interface).Shout", ["bytes": 70_000])
        }
        #expect(error.code == .deviceError && error.message.contains("65536 bytes"))
        let large = try await #require(throws: ClientError.self) {
            _ = try await bench.client.call("\(Self.interface).Read", ["padding": .string(String(repeating: "x", count: 300_000))])
        }
        #expect(large.code == .invalidParameter && large.message.contains("49152 bytes"))
        #expect(try await bench.running().pid == first)
        await bench.stop()
    }
}
