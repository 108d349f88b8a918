import CLinux
import Glibc
import Synchronization
import Testing
import USB
import Wire

@testable import VideoNode

@Suite(.timeLimit(.minutes(1))) struct AttacherTests {
    /// sysfs as Debian's kernel has it: a controller of two ports for each speed, and a second one.
    private final class Machine {
        let root: String
        var controller: VirtualController { VirtualController(root: root) }
        var record: String { root + "/nodes" }

        init(taken: Set<Int> = []) throws {
            var template = Array("/tmp/userdriver-vhci-XXXXXX".utf8CString)
            root = String(cString: try #require(mkdtemp(&template)))
            for (index, buses) in [(0, [3, 4]), (1, [5, 6])] {
                mkdir("\(root)/vhci_hcd.\(index)", 0o755)
                for (place, bus) in buses.enumerated() {
                    mkdir("\(root)/vhci_hcd.\(index)/usb\(bus)", 0o755)
                    write("\(root)/vhci_hcd.\(index)/usb\(bus)/speed", place == 0 ? "480\n" : "5000\n")
                }
            }
            write("\(root)/vhci_hcd.0/attach", "")
            status(taken: Dictionary(uniqueKeysWithValues: taken.map { ($0, 7) }))
        }

        deinit { _ = removeFolder(root) }

        func write(_ path: String, _ text: String) {
            let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            _ = text.withCString { Glibc.write(file, $0, strlen($0)) }
            close(file)
        }

        func status(taken: [Int: UInt32]) {
            for controller in 0..<2 {
                let lines = (0..<4).map { place -> String in
                    let number = controller * 4 + place
                    let device = String(taken[number] ?? 0, radix: 16)
                    let digits = String(repeating: "0", count: 8 - device.count) + device
                    return "\(place < 2 ? "hs" : "ss")  000\(number) \(taken[number] == nil ? "004 000" : "006 003") \(digits) 000000 0-0"
                }
                write(
                    "\(root)/vhci_hcd.0/status\(controller == 0 ? "" : ".\(controller)")",
                    "hub port sta spd dev      sockfd local_busid\n" + lines.joined(separator: "\n") + "\n")
            }
        }

        /// What the kernel was told last.
        var attached: [UInt32] {
            (SmallFile.read("\(root)/vhci_hcd.0/attach", limit: 100) ?? "").split(separator: " ").compactMap { UInt32($0) }
        }
        var recorded: [String] { VideoNodeRecord(parsing: SmallFile.read(record, limit: 4096) ?? "").paths }
    }

    private func pair() throws -> (attacher: Int32, server: Int32) {
        var pair: [Int32] = [-1, -1]
        try #require(clinux_seqpacket_pair(&pair) == 0)
        return (pair[0], pair[1])
    }

    @Test func aPortOfTheRightSpeedIsChosenAndWrittenDown() throws {
        let machine = try Machine(taken: [0])
        let ports = machine.controller.ports()
        #expect(ports.count == 8 && ports.filter(\.isFree).count == 7)
        #expect(ports.map { machine.controller.busPath(of: $0, among: ports) } == ["3-1", "3-2", "4-1", "4-2", "5-1", "5-2", "6-1", "6-2"])
        let desk = AttacherDesk(controller: machine.controller, recordPath: machine.record) { _ in }
        let (channel, server) = try pair()
        defer { for descriptor in [channel, server] { close(descriptor) } }
        #expect(clinux_send(server, AttachRequest(isSuper: false).bytes, 8, nil, 0, 0) == 8)
        #expect(desk.answer(on: channel))
        // What the server would read: `attach` sends a request of its own, so the reply is taken by hand.
        var bytes = [UInt8](repeating: 0, count: 8)
        var (descriptors, count, truncated) = ([Int32](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS)), Int32(0), Int32(0))
        #expect(clinux_receive(server, &bytes, 8, &descriptors, &count, &truncated, 0) == 8)
        #expect(bytes == AttachRequest.magic + [0] && count == 1)
        close(descriptors[0])
        #expect(machine.attached.first == 1 && machine.attached.last == 3)
        #expect(machine.recorded == ["3-2"])
        // Once the kernel has let go of it, it is no node any more.
        desk.forget()
        #expect(machine.recorded.isEmpty)
    }

    @Test func aServerCanAskForNothingElse() throws {
        let machine = try Machine()
        let desk = AttacherDesk(controller: machine.controller, recordPath: machine.record) { _ in }
        let good = AttachRequest(isSuper: true).bytes
        let bad: [[UInt8]] = [
            [], [0], Array(good.prefix(7)), good + [0], Array(good.dropLast()) + [4], Array(good.dropLast()) + [0xff],
            [UInt8](repeating: 0, count: 8), Array("0 3 1 5\n".utf8),
        ]
        for message in bad {
            let (channel, server) = try pair()
            defer { for descriptor in [channel, server] { close(descriptor) } }
            _ = clinux_send(server, message, UInt(message.count), nil, 0, 0)
            #expect(!desk.answer(on: channel), "\(message)")
        }
        // Nor send a descriptor along.
        let (channel, server) = try pair()
        defer { for descriptor in [channel, server] { close(descriptor) } }
        let own = [server]
        #expect(clinux_send(server, good, 8, own, 1, 0) == 8)
        #expect(!desk.answer(on: channel))
        #expect(machine.attached.isEmpty && machine.recorded.isEmpty)
    }

    @Test func nodesAreCountedAndComeNoFasterThanTheyMay() throws {
        let machine = try Machine()
        let said = Mutex<[String]>([])
        let desk = AttacherDesk(controller: machine.controller, recordPath: machine.record) { text in said.withLock { $0.append(text) } }
        let (channel, server) = try pair()
        defer { for descriptor in [channel, server] { close(descriptor) } }
        var replies: [UInt8] = []
        // Each is gone again before the next is asked for, so that only the rate is in the way.
        for _ in 0..<AttacherLimits.burst + 3 {
            #expect(clinux_send(server, AttachRequest(isSuper: true).bytes, 8, nil, 0, 0) == 8)
            #expect(desk.answer(on: channel))
            var bytes = [UInt8](repeating: 0, count: 8)
            var (descriptors, count, truncated) = ([Int32](repeating: -1, count: Int(CLINUX_MAX_DESCRIPTORS)), Int32(0), Int32(0))
            #expect(clinux_receive(server, &bytes, 8, &descriptors, &count, &truncated, 0) == 8)
            if count > 0 { close(descriptors[0]) }
            replies.append(bytes[7])
        }
        #expect(replies.prefix(AttacherLimits.burst).allSatisfy { $0 == 0 })
        #expect(replies.dropFirst(AttacherLimits.burst).allSatisfy { $0 == AttachRefusal.tooOften.rawValue })
    }

    @Test func withoutAControllerOrAFreePortItSaysSo() throws {
        let machine = try Machine(taken: [2, 3, 6, 7])
        let (channel, server) = try pair()
        defer { for descriptor in [channel, server] { close(descriptor) } }
        func refusal(_ controller: VirtualController) throws -> UInt8 {
            let desk = AttacherDesk(controller: controller, recordPath: machine.record) { _ in }
            #expect(clinux_send(server, AttachRequest(isSuper: true).bytes, 8, nil, 0, 0) == 8)
            #expect(desk.answer(on: channel))
            var bytes = [UInt8](repeating: 0, count: 8)
            #expect(read(server, &bytes, 8) == 8)
            return bytes[7]
        }
        #expect(try refusal(machine.controller) == AttachRefusal.noPort.rawValue)
        #expect(try refusal(VirtualController(root: "/nonexistent")) == AttachRefusal.noController.rawValue)
    }

    @Test func theRecordIsReadAsWhatAnybodyCouldHaveWritten() {
        #expect(VideoNodeRecord(parsing: "3-1\n4-12\n").paths == ["3-1", "4-12"])
        #expect(VideoNodeRecord(parsing: "3-1.2\n../../etc\n\n-1\n1-\n99999-1\n7\n").paths.isEmpty)
        #expect(VideoNodeRecord(parsing: VideoNodeRecord(paths: ["1-1", "2-3"]).text).paths == ["1-1", "2-3"])
    }
}

/// Removes a test's own folder, file by file.
func removeFolder(_ path: String) -> Int32 {
    for name in SmallFile.entries(path) ?? [] {
        let inner = path + "/" + name
        var status = stat()
        guard lstat(inner, &status) == 0 else { continue }
        if status.st_mode & S_IFMT == S_IFDIR { _ = removeFolder(inner) } else { unlink(inner) }
    }
    return rmdir(path)
}
