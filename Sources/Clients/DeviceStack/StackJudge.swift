// Facts become layers: how each is, why, and what fixes it. Pure; the files beside it have the
// layers themselves.

/// Judges a device or the machine. A layer above a broken one is not blamed for it: the reader looks for the lowest.
public enum StackJudge {
    /// A device's layers, bottom to top.
    public static func report(_ facts: DeviceFacts) -> StackReport {
        let below: [StackLayer]
        switch facts.place {
        case .local(let device): below = localLayers(device, facts)
        case .unplugged(let path, let count): below = [unplugged(path, overCurrentCount: count)]
        case .remote(let server): below = remoteLayers(server, facts)
        }
        return StackReport(device: facts.id, name: facts.name, layers: below + upperLayers(facts))
    }

    /// The machine and every device on it. `drivers` and `problems` are empty if the daemon can't be asked.
    public static func report(
        machine: MachineFacts, daemon: DaemonReach, socket: SocketFacts, drivers: [StackDriver], devices: [DeviceFacts]
    ) -> DoctorReport {
        DoctorReport(
            machine: machineLayers(machine, daemon: daemon, socket: socket, drivers: drivers, devices: devices),
            devices: devices.map(report))
    }

    /// What a shell takes as one word.
    static func quoted(_ word: String) -> String {
        let plain = word.unicodeScalars.allSatisfy { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "@%+=:,./_-".unicodeScalars.contains(scalar))
        }
        return plain && !word.isEmpty
            ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
