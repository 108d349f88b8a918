// What the attacher does with what its server sends: attaches a node, or says no. As root, so it is small.

import CLinux
import FileDescriptors
import Glibc
import Wire

/// Makes nodes' socket pairs, gives one end of each to the kernel, and notes where.
///
/// A server that has been taken over by whoever controls its memory can have a few more cameras attached, and nothing else: it chooses
/// neither a socket nor a port, and what is at the socket's other end is itself.
final class AttacherDesk {
    private struct Attached {
        var port: VirtualController.Port
        var deviceID: UInt32
        var path: String
    }

    private let controller: VirtualController
    private let recordPath: String
    private let log: (String) -> Void
    private var attached: [Attached] = []
    private var tokens = AttacherLimits.burst
    private var refilled = clinux_monotonic_ns()
    private var count: UInt32 = 0

    init(controller: VirtualController, recordPath: String, log: @escaping (String) -> Void) {
        self.controller = controller
        self.recordPath = recordPath
        self.log = log
    }

    /// One message of the server's. False if it is none: the server is not what it should be.
    func answer(on channel: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: AttachRequest.byteCount + 1)
        var truncated: Int32 = 0
        // Descriptors are not taken from anybody.
        let got = clinux_receive_bytes(channel, &bytes, UInt(bytes.count), &truncated, Int32(MSG_DONTWAIT))
        if got == -Int(EAGAIN) || got == -Int(EINTR) { return true }
        guard got == AttachRequest.byteCount, truncated == 0, let request = AttachRequest(Array(bytes.prefix(AttachRequest.byteCount)))
        else {
            return false
        }
        var reply = AttachRequest.magic + [0]
        do throws(AttachRefusal) {
            let socket = try attach(isSuper: request.isSuper)
            return withUnsafePointer(to: socket.number) {
                clinux_send(channel, reply, UInt(reply.count), $0, 1, Int32(MSG_DONTWAIT)) == reply.count
            }
        } catch {
            reply[7] = error.rawValue
            log("No node: \(error).")
            return clinux_send(channel, reply, UInt(reply.count), nil, 0, Int32(MSG_DONTWAIT)) == reply.count
        }
    }

    private func attach(isSuper: Bool) throws(AttachRefusal) -> OwnedDescriptor {
        guard controller.isPresent else { throw .noController }
        let ports = controller.ports()
        forget(among: ports)
        guard attached.count < AttacherLimits.mostNodes else { throw .tooMany }
        guard takeToken() else { throw .tooOften }
        guard let port = ports.first(where: { $0.isFree && $0.isSuper == isSuper }), let path = controller.busPath(of: port, among: ports)
        else {
            throw .noPort
        }
        guard let pair = SocketPair(.stream) else { throw .refused }
        count += 1
        let deviceID = UInt32(0x5544) << 16 | (count & 0xffff)
        // Noted before it is there: the daemon is not to see it first.
        attached.append(Attached(port: port, deviceID: deviceID, path: path))
        let number = record()
        let refusal = number == 0 ? controller.attach(pair.theirs.number, to: port, deviceID: deviceID) : number
        guard refusal == 0 else {
            attached.removeLast()
            _ = record()
            log("A node can't be attached to port \(port.number): \(String(cString: strerror(refusal))).")
            throw .refused
        }
        log("A node was attached at \(path).")
        return pair.ours
    }

    private func takeToken() -> Bool {
        let now = clinux_monotonic_ns()
        let grown = Int(clamping: (now - refilled) / AttacherLimits.interval)
        if grown > 0 {
            tokens = min(AttacherLimits.burst, tokens + grown)
            refilled = now
        }
        guard tokens > 0 else { return false }
        tokens -= 1
        return true
    }

    /// Nodes that are not there any more.
    func forget() { forget(among: controller.ports()) }

    private func forget(among ports: [VirtualController.Port]) {
        let before = attached.count
        attached.removeAll { one in
            guard let now = ports.first(where: { $0.number == one.port.number }) else { return true }
            return now.isFree || now.deviceID != one.deviceID
        }
        if attached.count != before { _ = record() }
    }

    var isEmpty: Bool { attached.isEmpty }

    /// 0 or an errno.
    func record() -> Int32 { SmallFile.write(VideoNodeRecord(paths: attached.map(\.path)).text, to: recordPath) }
}
