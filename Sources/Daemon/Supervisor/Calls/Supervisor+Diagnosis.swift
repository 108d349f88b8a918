// What the supervisor knows of the layers below and above a device.

import Bundles
import FrameRing
import Glibc
import Wire

extension Supervisor {
    func diagnosis(of chosen: [DriverFunction]) -> Diagnosis {
        Diagnosis(
            daemon: Diagnosis.Daemon(
                version: Self.version, pid: getpid(), user: geteuid(), groups: Self.groups(), usesUSB: configuration.usesUSB,
                detachesKernelDrivers: configuration.detachesKernelDrivers),
            drivers: catalog.bundles.map(\.diagnosis)
                + catalog.problems.map {
                    Diagnosis.Driver(path: $0.path, problem: $0.problem, code: $0.isUntrusted ? "NotTrusted" : "Unusable")
                },
            attachments: attachmentDiagnoses, devices: chosen.map { $0.diagnosis(status(of: $0)) })
    }

    private static func groups() -> [UInt32] {
        var list = [gid_t](repeating: 0, count: max(1, Int(getgroups(0, nil))))
        let count = getgroups(Int32(list.count), &list)
        return Set(list.prefix(max(0, Int(count))) + [getegid()]).sorted()
    }
}

extension DriverFunction {
    func diagnosis(_ status: DeviceStatus) -> Diagnosis.Device {
        let node = source.node(of: information)
        let mask = bundle?.manifest.grant(for: subject, function: function).interfaces ?? 0
        return Diagnosis.Device(
            status: status, node: node?.path, nodeProblem: isAttached ? node?.problem : nil,
            interfaces: (0..<32).filter { mask & 1 << UInt32($0) != 0 }, driver: bundle?.diagnosis,
            rings: streams.values.sorted { $0.name < $1.name }.compactMap { stream in
                stream.ring.map { Diagnosis.Ring(stream: stream.name, bytes: $0.geometry.byteCount) }
            }, fault: trouble?.fault)
    }
}

extension DriverBundle {
    fileprivate var diagnosis: Diagnosis.Driver {
        Diagnosis.Driver(
            path: path, id: manifest.id, version: manifest.version, verdict: verdict.text,
            code: verdict == .unsigned ? "Unsigned" : nil)
    }
}
