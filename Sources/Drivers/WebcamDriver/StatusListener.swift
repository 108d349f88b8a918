// The status endpoint: what the camera says by itself, passed on to whoever watches.

import Threads
import USB
import UVC
import UserDriver
import Wire

/// Reads the interrupt endpoint of the control interface (UVC 1.5 §2.4.2.2) on a thread of its own.
final class StatusListener: Sendable {
    private let context: DriverContext
    private let endpoint: StatusEndpoint
    private let function: VideoFunction
    private let stopping = Latch()

    init(context: DriverContext, endpoint: StatusEndpoint, function: VideoFunction) {
        self.context = context
        self.endpoint = endpoint
        self.function = function
    }

    func start() {
        do throws(WorkerThread.StartFailure) {
            _ = try WorkerThread(name: "status") { [self] in run() }
        } catch {
            context.supervisor.log("notice", "The status endpoint is not read: \(error)")
        }
    }

    private func run() {
        do throws(USBError) {
            let queue = try context.device.transferQueue(endpoint: endpoint.address, type: .interrupt)
            stopping.whenSet { queue.cancelAll() }
            try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: min(max(endpoint.maxPacketSize, 1), 1024))))
            try listen(queue)
        } catch {
            // The stream's thread says it when the device is gone; without a status endpoint a camera still is a camera.
            guard !stopping.isSet, error.code != .noDevice, error.code != .connection else { return }
            context.supervisor.log("notice", "The status endpoint is not read any more: \(error)")
        }
    }

    func stop() { stopping.set() }

    private func listen(_ queue: any TransferQueue) throws(USBError) {
        var failures = 0
        while !stopping.isSet {
            guard let transfer = try queue.next(timeout: .seconds(3600)) else { continue }
            switch transfer.status {
            case .completed:
                failures = 0
                let bytes = Array(transfer.buffer.bytes.prefix(max(0, min(transfer.actualLength, transfer.buffer.bytes.count))))
                if let event = StatusEvent(bytes) { context.supervisor.event(event.name, event.parameters(function)) }
            case .cancelled, .disconnected, .stall: return
            case .timedOut, .overflow, .fault:
                failures += 1
                if failures > 10 { return }
            }
            try queue.submit(transfer.recycled())
        }
    }
}

/// A status packet (UVC 1.5 tables 2-1 and 2-2).
struct StatusEvent: Equatable {
    enum Kind: Equatable {
        /// `bOriginator` (an entity), `bSelector`, `bAttribute` (0 value, 1 information, 2 failure, 3 minimum, 4 maximum).
        case control(entity: UInt8, selector: UInt8, attribute: UInt8, value: [UInt8])
        /// `bOriginator` (a streaming interface), `bEvent` 0, `bValue`: 1 pressed, 0 released.
        case button(interface: UInt8, isPressed: Bool)
    }
    var kind: Kind

    /// `nil` for packets that are too short, and of kinds that are not known.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 4 else { return nil }
        switch bytes[0] & 0x0f {
        case 1:
            guard bytes[2] == 0, bytes.count >= 5 else { return nil }
            kind = .control(entity: bytes[1], selector: bytes[3], attribute: bytes[4], value: Array(bytes[5...].prefix(16)))
        case 2:
            guard bytes[2] == 0 else { return nil }
            kind = .button(interface: bytes[1], isPressed: bytes[3] != 0)
        default: return nil
        }
    }

    var name: String {
        switch kind {
        case .control: "controlChanged"
        case .button: "button"
        }
    }

    func parameters(_ function: VideoFunction) -> JSONValue {
        switch kind {
        case .control(let entity, let selector, let attribute, let value):
            [
                "name": VideoControls.announced(by: function).first { $0.entity == entity && $0.0.selector == selector }.map {
                    .string($0.0.name)
                } ?? .null,
                "entity": .int(Int64(entity)), "selector": .int(Int64(selector)), "attribute": .int(Int64(attribute)),
                "value": .array(value.map { .int(Int64($0)) }),
            ]
        case .button(let interface, let isPressed): ["interface": .int(Int64(interface)), "pressed": .bool(isPressed)]
        }
    }
}
