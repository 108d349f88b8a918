// The test's device with faults on top.

import Synchronization
import USB
import USBEmulation

/// Passes everything on to the device that it stands before, unless it is to be silent.
final class BenchDevice: EmulatedDevice {
    private struct State {
        var signal: (any EmulationSignal)?
        var isStalled = false
    }
    private let device: any EmulatedDevice
    private let state = Mutex(State())

    init(_ device: any EmulatedDevice) { self.device = device }

    private var isStalled: Bool { state.withLock { $0.isStalled } }

    func stall(_ isStalled: Bool) {
        let signal = state.withLock { state in
            state.isStalled = isStalled
            return state.signal
        }
        // What said "later" meanwhile is asked again.
        for number in 1...15 as ClosedRange<UInt8> { signal?.ready(endpoint: EndpointAddress(number: number, direction: .in)) }
    }

    func unplug() { state.withLock { $0.signal }?.unplug() }
    func plug() { state.withLock { $0.signal }?.plug() }

    // MARK: EmulatedDevice

    var descriptors: EmulatedDescriptors { device.descriptors }

    func attached(now: UInt64, signal: any EmulationSignal) {
        state.withLock { $0.signal = signal }
        device.attached(now: now, signal: signal)
    }
    func detached() { device.detached() }

    func control(_ setup: ControlSetup, data: [UInt8], now: UInt64) -> ControlAnswer {
        isStalled ? .silence : device.control(setup, data: data, now: now)
    }
    func standard(_ setup: ControlSetup, now: UInt64) -> ControlAnswer? { device.standard(setup, now: now) }
    func alternateSettingChanged(interface: UInt8, to alternateSetting: UInt8, now: UInt64) {
        device.alternateSettingChanged(interface: interface, to: alternateSetting, now: now)
    }
    func haltCleared(endpoint: EndpointAddress, now: UInt64) { device.haltCleared(endpoint: endpoint, now: now) }
    func isochronousIn(endpoint: EndpointAddress, time: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        isStalled ? 0 : device.isochronousIn(endpoint: endpoint, time: time, into: buffer)
    }
    func isReady(endpoint: EndpointAddress, until time: UInt64) -> Bool { isStalled || device.isReady(endpoint: endpoint, until: time) }
    func dataIn(endpoint: EndpointAddress, now: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> InAnswer {
        isStalled ? .later(at: nil) : device.dataIn(endpoint: endpoint, now: now, into: buffer)
    }
    func dataOut(endpoint: EndpointAddress, now: UInt64, data: UnsafeRawBufferPointer) -> TransferStatus {
        device.dataOut(endpoint: endpoint, now: now, data: data)
    }
}
