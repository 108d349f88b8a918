// What is plugged in: a device with its functions, and what is decided for all of them together.

import Bundles
import Logging
import USB

/// One device. It stays known after it was unplugged, with those who watch its functions.
@SupervisorActor
final class Device {
    private(set) var id: String
    private(set) var source: any DeviceSource
    private(set) var information: USBDeviceInformation
    private(set) var isPresent = false
    /// Those that drivers are for, in the order of their first interfaces; a device that no driver
    /// is for has one that stands for it as a whole.
    private(set) var functions: [DriverFunction] = []
    private let dependencies: DriverFunction.Dependencies
    /// The functions that start again once the device has been reset for one of them.
    private var interrupted: [DriverFunction] = []

    init(id: String, information: USBDeviceInformation, source: any DeviceSource, dependencies: DriverFunction.Dependencies) {
        self.id = id
        self.information = information
        self.source = source
        self.dependencies = dependencies
    }

    var path: String { information.path }
    var isAttached: Bool { isPresent }

    /// The device's id for its only function; where it has several, that and the function's first
    /// interface: `1209:0001:EMU0001/2`. No serial number and no port has a slash at its end, and
    /// the number is the same wherever the device is plugged in.
    func id(of function: DriverFunction) -> String {
        functions.count > 1 ? "\(id)/\(function.function.firstInterface)" : id
    }

    /// What the device calls a function, where there are several to be told apart.
    func name(of function: DriverFunction) -> String? {
        guard functions.count > 1, let name = information.interfaceNames[function.function.firstInterface], !name.isEmpty else {
            return nil
        }
        return name
    }

    /// Another device has the same serial number.
    func rename(_ id: String) { self.id = id }

    // MARK: Coming and going

    /// It is plugged in, where it was or somewhere else.
    func arrived(_ information: USBDeviceInformation, from source: any DeviceSource, _ matches: [FunctionMatch]) {
        precondition(!isPresent, "a device arrives only while it is absent")
        self.source = source
        self.information = information
        isPresent = true
        for function in assign(matches) { function.arrived() }
    }

    func left(_ why: String = "It was unplugged.") {
        guard isPresent else { return }
        isPresent = false
        interrupted = []
        for function in functions { function.left(why) }
    }

    /// Ends the drivers for good. `then` is called when no process is left.
    func remove(_ why: String, then: @escaping @SupervisorActor () -> Void) {
        isPresent = false
        var count = functions.count
        guard count > 0 else { return then() }
        for function in functions {
            function.remove(why) {
                count -= 1
                if count == 0 { then() }
            }
        }
    }

    /// Nobody knows it any more.
    func forget() { functions = [] }

    /// Drivers were read anew: each function gets the one that is for it now, and those that had
    /// none may have one.
    func adopt(_ matches: [FunctionMatch]) {
        guard isPresent else { return }
        let before = functions
        for function in assign(matches) where !before.contains(where: { $0 === function }) { function.arrived() }
    }

    /// Gives each match a function: the one that it was before, else a new one. Functions that no
    /// driver is for any more go.
    /// - Returns: those that are there now.
    @discardableResult
    private func assign(
        _ matches: [FunctionMatch], adopt: (DriverFunction, FunctionMatch?) -> Void = { $0.meet($1) }
    ) -> [DriverFunction] {
        let limit = dependencies.configuration.limits.functionsPerDevice
        if matches.count > limit {
            dependencies.logger.warning(
                "a device has too many functions", metadata: ["device": "\(id)", "count": "\(matches.count)", "limit": "\(limit)"])
        }
        let matches = Array(matches.prefix(limit))
        var free = functions
        var found: [DriverFunction?] = matches.map { match in
            guard let index = free.firstIndex(where: { $0.function.firstInterface == match.function.firstInterface && $0.bundle != nil })
            else { return nil }
            return free.remove(at: index)
        }
        // Whoever looked at the device as a whole, or at its only function, looks at what has taken
        // its place.
        for place in found.indices where found[place] == nil {
            guard
                let index = free.firstIndex(where: { $0.bundle == nil })
                    ?? (found.count == 1 && functions.count == 1 ? free.indices.first : nil)
            else { continue }
            found[place] = free.remove(at: index)
        }
        // One stands for the device that no driver is for.
        let standIn = matches.isEmpty ? free.first ?? DriverFunction(device: self, match: nil, dependencies: dependencies) : nil
        let isNew = standIn.map { new in !functions.contains { $0 === new } } ?? false
        let gone = free.filter { $0 !== standIn }
        let old = functions
        functions = zip(found, matches).map { $0 ?? DriverFunction(device: self, match: $1, dependencies: dependencies) }
        if let standIn { functions = [standIn] }
        for (function, match) in zip(functions, matches) where old.contains(where: { $0 === function }) { adopt(function, match) }
        if let standIn, !isNew { adopt(standIn, nil) }
        for function in gone { function.remove("There is no driver for it any more.") {} }
        return functions
    }

    // MARK: What an earlier supervisor left

    func resume(_ inherited: InheritedDevice, _ match: FunctionMatch, _ successionStore: SuccessionStore) {
        isPresent = true
        let function = DriverFunction(device: self, match: match, dependencies: dependencies)
        functions = (functions + [function]).sorted { $0.function.firstInterface < $1.function.firstInterface }
        function.resume(inherited, successionStore)
    }

    /// Whether this is the device that streams go on of; then those functions have arrived by that,
    /// and the others do now.
    func isResumed(as found: USBDeviceInformation, _ matches: [FunctionMatch]) -> Bool {
        guard functions.contains(where: \.isResumed) else { return false }
        for function in functions { function.forgetResumption() }
        guard found.busNumber == information.busNumber, found.deviceNumber == information.deviceNumber,
            found.descriptors == information.descriptors
        else { return false }
        information = found
        let before = functions
        for function in assign(matches, adopt: { _, _ in }) where !before.contains(where: { $0 === function }) { function.arrived() }
        return true
    }

    // MARK: What belongs to the whole device

    /// Whether a function other than this one has streams on.
    func streams(besides function: DriverFunction) -> Bool {
        functions.contains { $0 !== function && $0.isPresent && $0.streams.values.contains { $0.isOpen } }
    }

    /// Before the device is reset for one function: what the others have open is lost by it, so
    /// their drivers end now and start again from what they left once it is done.
    func prepareReset(for function: DriverFunction?) async {
        guard let function else { return }
        let others = functions.filter { $0 !== function && $0.isDriven }
        guard !others.isEmpty else { return }
        await withCheckedContinuation { continuation in
            var count = others.count
            for other in others {
                interrupted.append(other)
                other.makeWay("the device is reset: nothing less could recover \(id(of: function))") {
                    count -= 1
                    if count == 0 { continuation.resume() }
                }
            }
        }
    }

    /// The reset is done, or has failed.
    func resetHasEnded() {
        let waiting = interrupted
        interrupted = []
        for function in waiting where function.phase.start?.cause == .afterReset { function.startWhenFree() }
    }
}
