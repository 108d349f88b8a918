// Gathers what `stack` and `doctor` judge: the daemon's part over its socket, the machine's from its own files.

import DeviceStack
import USB
import UserDriverClient
import Wire

/// One look at everything. Nothing is changed, no device is opened.
struct Examination: Sendable {
    let client: UserDriverClient
    let root = SystemRoot.machine

    // MARK: One device

    /// The device that the selector names. Throws as the daemon refuses it, where no file of this machine knows it either.
    func device(_ selector: String?) async throws -> StackReport {
        let machine = MachineFacts.read(root)
        let diagnosis: Diagnosis
        do throws(ClientError) {
            diagnosis = try await client.diagnose(selector)
        } catch {
            return StackJudge.report(try await undiagnosed(selector, machine, error))
        }
        var known = diagnosis.devices.filter { selector != nil || !$0.status.driver.isEmpty }
        if known.contains(where: { $0.status.state != .absent }) { known.removeAll { $0.status.state == .absent } }
        guard let device = known.first else {
            throw ClientError(.noSuchDevice, "No device is attached. To try one in software: userdriver up --emulate webcam")
        }
        guard known.count == 1 else {
            throw ClientError(
                .ambiguousDevice, "Say which device: \(known.map { "\"\($0.status.id)\"" }.joined(separator: ", ")) would fit.")
        }
        return StackJudge.report(await facts(device, diagnosis, machine))
    }

    /// A device of which the daemon says nothing.
    private func undiagnosed(_ selector: String?, _ machine: MachineFacts, _ error: ClientError) async throws(ClientError) -> DeviceFacts {
        guard let selector else { throw error }
        var daemon = reach(error)
        if error.code == .noSuchDevice {
            // It answers, so that it can be asked what it is, and whether it looks for that device.
            let diagnosis = try await client.diagnose()
            daemon = .running(diagnosis.daemon)
            guard !selector.contains("://") || diagnosis.attachments.contains(where: { $0.url == selector }) else { throw error }
        } else if [.ambiguousDevice, .invalidParameter].contains(error.code) {
            throw error
        }
        if let server = await RemoteServer.look(at: selector, isDriven: false) {
            return DeviceFacts(place: .remote(server), machine: machine, daemon: daemon)
        }
        let fitting = LocalDevice.all(root).filter { device in
            [device.path, device.id, "\(device.vendorID):\(device.productID)"].contains(selector.lowercased())
                || !selector.isEmpty && device.product?.lowercased().contains(selector.lowercased()) == true
        }
        guard let device = fitting.first else { throw error }
        guard fitting.count == 1 else {
            throw ClientError(.ambiguousDevice, "Say which device: \(fitting.map { "\"\($0.id)\"" }.joined(separator: ", ")) would fit.")
        }
        return DeviceFacts(place: .local(device), machine: machine, daemon: daemon, descriptors: device.descriptors)
    }

    // MARK: Everything

    func everything() async -> DoctorReport {
        let machine = MachineFacts.read(root)
        let socket = SocketFacts.read(client.runtimeDirectory.socketPath, root)
        switch await ask() {
        case .success(let diagnosis):
            return StackJudge.report(
                machine: machine, daemon: .running(diagnosis.daemon), socket: socket, drivers: diagnosis.drivers,
                devices: await devices(diagnosis, machine))
        case .failure(let error):
            let daemon = reach(error)
            let others = LocalDevice.all(root).filter { !$0.isOrdinary }
            return StackJudge.report(
                machine: machine, daemon: daemon, socket: socket, drivers: [],
                devices: others.map {
                    DeviceFacts(place: .local($0), machine: machine, daemon: daemon, descriptors: $0.descriptors)
                })
        }
    }

    private func ask() async -> Result<Diagnosis, ClientError> {
        do throws(ClientError) {
            return .success(try await client.diagnose())
        } catch {
            return .failure(error)
        }
    }

    /// Devices that somebody may miss: not those that no driver knows, nor those that were unplugged and that nothing keeps from coming back.
    private func devices(_ diagnosis: Diagnosis, _ machine: MachineFacts) async -> [DeviceFacts] {
        var result: [DeviceFacts] = []
        for device in diagnosis.devices where !device.status.driver.isEmpty {
            let facts = await facts(device, diagnosis, machine)
            if case .unplugged(_, let count) = facts.place, count ?? 0 == 0 { continue }
            result.append(facts)
        }
        for attachment in diagnosis.attachments where !diagnosis.devices.contains(where: { $0.status.bus == attachment.url }) {
            guard let server = await RemoteServer.look(at: attachment.url, isDriven: false) else { continue }
            result.append(DeviceFacts(place: .remote(server), machine: machine, daemon: .running(diagnosis.daemon)))
        }
        return result
    }

    private func facts(_ device: Diagnosis.Device, _ diagnosis: Diagnosis, _ machine: MachineFacts) async -> DeviceFacts {
        let status = device.status
        let place: DeviceFacts.Place
        if let server = await RemoteServer.look(at: status.bus, isDriven: status.state == .running) {
            place = .remote(server)
        } else if status.state != .absent, let local = LocalDevice.read(status.bus, root) {
            place = .local(local)
        } else {
            place = .unplugged(path: status.bus, overCurrentCount: LocalDevice.overCurrentCount(at: status.bus, root))
        }
        var facts = DeviceFacts(
            place: place, machine: machine, daemon: .running(diagnosis.daemon), diagnosis: device,
            refused: diagnosis.drivers.filter { $0.problem != nil })
        do throws(ClientError) {
            let information = try await client.inspect(status.id).information
            facts.descriptors = information.descriptors
            facts.speed = information.speed
            facts.lastCrash = try await client.crashes(status.id).last
        } catch {
            // It has gone since: what is not known is said to be so.
        }
        return facts
    }

    private func reach(_ error: ClientError) -> DaemonReach {
        switch error.code {
        case .daemonNotRunning: .notRunning(client.runtimeDirectory.socketPath)
        case .notPermitted: .notPermitted(error.message)
        default: .failed(error.message)
        }
    }
}
