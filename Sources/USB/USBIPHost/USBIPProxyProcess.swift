// usbip-proxy: owns the socket of one USB/IP device, so that its transfers go on when its driver
// dies. Started by userdriverd.

import CLinux
import FileDescriptors
import Glibc
import TransferRing
import USB
import Wire

/// The process `usbip-proxy`.
public enum USBIPProxyProcess {
    public static let name = "usbip-proxy"

    /// Serves the channel that the process was given, to its end.
    public static func run() -> Never {
        clinux_set_name(name)
        let channel = Channel(OwnedDescriptor(DriverContract.channelDescriptor))
        tell(channel, .loaded)
        guard let (message, descriptors) = receive(channel), case .start(let deviceID) = message, let socket = descriptors.first else {
            complain("usbip-proxy is started by userdriverd, not by hand.")
            exit(2)
        }
        let port: USBIPProxy
        do throws(USBError) {
            port = try USBIPProxy(socket: OwnedDescriptor(socket), deviceID: deviceID) { error in
                tell(channel, .gone(reason: "\(error)"))
                _exit(0)
            }
        } catch {
            tell(channel, .gone(reason: "\(error)"))
            exit(1)
        }
        while let (message, descriptors) = receive(channel) { take(message, OwnedDescriptors(descriptors), port, channel) }
        // The supervisor is gone, or wants no more: with the process its socket closes, and the server is free.
        _exit(0)
    }

    private static func take(_ message: MessageToPort, _ descriptors: consuming OwnedDescriptors, _ port: USBIPProxy, _ channel: Channel) {
        switch message {
        case .start: break
        case .driver(let function, let rights):
            guard let socket = descriptors.takeLast() else { return }
            let endpoints = Set(rights.endpoints.map { EndpointAddress(rawValue: $0) })
            do throws(USBError) {
                try port.connect(
                    driver: socket, function: function,
                    rights: FunctionRights(interfaces: rights.interfaces, endpoints: endpoints))
            } catch {
                tell(channel, .gone(reason: "\(error)"))
                _exit(1)
            }
        case .leave(let function): port.leave(function: function)
        case .carry(let grant, let function, let interval):
            let geometry = TransferRingGeometry(
                transferCount: grant.transferCount, packetCount: grant.packetCount, packetLength: grant.packetLength,
                logLength: grant.logLength ?? 0)
            guard let geometry, descriptors.count == 2 else {
                tell(channel, .refused(number: grant.number, reason: "The ring's geometry is out of bounds."))
                return
            }
            do throws(USBError) {
                try port.carry(
                    ring: grant.number, function: function, memory: descriptors[0], geometry: geometry, wake: descriptors[1],
                    endpoint: EndpointAddress(rawValue: grant.endpoint), interval: interval)
            } catch {
                tell(channel, .refused(number: grant.number, reason: "\(error)"))
            }
        case .end(let function, let number): port.end(ring: number, function: function)
        }
    }

    private static func receive(_ channel: Channel) -> (MessageToPort, [Int32])? {
        do {
            return try channel.receive(MessageToPort.self)
        } catch {
            complain("Something unreadable came from the supervisor: \(error)")
            return nil
        }
    }

    private static func tell(_ channel: Channel, _ message: MessageFromPort) {
        do {
            try channel.send(message)
        } catch {
            // Nobody is left to hear it.
            _exit(0)
        }
    }

    private static func complain(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}
