// What clients ask: the management interface here, the class interfaces of the driver.

import Bundles
import FileDescriptors
import FlightRecorder
import Glibc
import USB
import Wire

extension Supervisor {
    /// Answers a call, now or later.
    func handle(_ call: ClientCall) {
        if let reply = service.reply(to: call.call) {
            call.reply(reply)
            return
        }
        do throws(CallError) {
            try ClientRights.of(user: call.peer.userID, daemonUser: geteuid()).check(call.call)
            if call.call.interfaceName == ManagementInterface.name {
                try manage(call)
            } else {
                try forward(call)
            }
        } catch {
            call.fail(error)
        }
    }

    private func manage(_ call: ClientCall) throws(CallError) {
        let parameters = call.call.parameters
        switch call.call.methodName {
        case "Status":
            let chosen = try text("device", of: call) == nil ? functions : [device(for: call)]
            var reply: [String: JSONValue] = [
                "devices": .array(try chosen.map { device throws(CallError) in try encode(status(of: device)) })
            ]
            // Those that have no device are nowhere else.
            if try text("device", of: call) == nil { reply["attachments"] = try encode(attachmentDiagnoses) }
            call.succeed(.object(reply))
        case "Diagnose":
            call.succeed(try encode(diagnosis(of: try text("device", of: call) == nil ? functions : [device(for: call)])))
        case "Inspect":
            call.succeed(try device(for: call).inspection)
        case "Watch":
            guard call.call.more else { return call.reply(VarlinkService.expectedMore()) }
            let device = try device(for: call) { $0.bundle != nil }
            let named = try text("stream", of: call)
            let stream = if let named { named } else { try device.defaultStream() }
            let reports = parameters["reports"]?.boolValue ?? false
            try device.watch(call, stream: stream, request: parameters["request"] ?? .object([:]), reports: reports)
        case "Events":
            guard call.call.more else { return call.reply(VarlinkService.expectedMore()) }
            let listener = EventListener(call, tolerance: configuration.limits.backlogBytes / 2)
            listeners.append(listener)
            call.onCancel = { [weak self, weak listener] in
                listener?.stop()
                self?.listeners.removeAll { $0 === listener }
            }
        case "Restart":
            try device(for: call) { $0.bundle != nil }.restart()
            call.succeed()
        case "Services":
            let chosen = try text("device", of: call) == nil ? functions : [device(for: call)]
            call.succeed(["services": try encode(chosen.flatMap(\.services))])
        case "Memory":
            guard let size = parameters["size"]?.intValue else { throw CallError("InvalidParameter", "size is missing.") }
            let memory = try call.memory.add(byteCount: size, limits: configuration.limits)
            call.reply(VarlinkReply(.object([:])), descriptors: [memory.descriptor])
        case "Drivers":
            call.succeed(["drivers": try encode(catalog.statuses)])
        case "ReloadDrivers":
            Task { @SupervisorActor in
                await self.reloadDrivers()
                do throws(CallError) { call.succeed(["drivers": try self.encode(self.catalog.statuses)]) } catch { call.fail(error) }
            }
        case "Take":
            let device = try device(for: call) { $0.bundle != nil }
            let unkept = try policy.choose(device.id, device: device.device.id, takes: true)
            device.take()
            if let unkept { throw CallError("DeviceError", "\(device.id) is taken from the kernel's driver. \(unkept)") }
            call.succeed()
        case "Release":
            let device = try device(for: call) { $0.bundle != nil }
            let (id, unkept) = (device.id, try policy.choose(device.id, device: device.device.id, takes: false))
            device.release { failure in
                if let failure { return call.fail(CallError("DeviceError", failure)) }
                guard let unkept else { return call.succeed() }
                call.fail(CallError("DeviceError", "\(id) is given back to the kernel's driver. \(unkept)"))
            }
        case "SetNodes":
            try setNodes(call)
        case "Offer":
            try offer(call)
        case "Show": try show(call)
        case "Revoke": try revoke(call)
        case "SetUp": try setUp(call)
        case "Crashes":
            let id = try text("device", of: call) == nil ? nil : try device(for: call).id
            let crashes = crashes
            Task { @SupervisorActor in
                let reports = await crashes.reports(of: id)
                do throws(CallError) {
                    call.succeed(["crashes": .array(try reports.map { report throws(CallError) in try self.encode(report) })])
                } catch {
                    call.fail(error)
                }
            }
        case "CrashCapture":
            guard case .int(let number) = call.call.parameters["number"] else {
                throw CallError("InvalidParameter", "number is missing.")
            }
            let crashes = crashes
            Task { @SupervisorActor in
                guard let file = OwnedDescriptor(opened: await crashes.capture(of: Int(number)) ?? -1) else {
                    return call.fail(CallError("InvalidParameter", "There is no capture for crash \(number)."))
                }
                call.reply(VarlinkReply(.object([:])), descriptors: [file.number])
            }
        case "Capture":
            try capture(try device(for: call), for: call)
        case "Attach":
            let (url, isTransient) = (try url(of: call), parameters["transient"]?.boolValue ?? false)
            Task { @SupervisorActor in
                do throws(CallError) {
                    try await self.attach(url, isTransient: isTransient)
                    call.succeed()
                } catch {
                    call.fail(error)
                }
            }
        case "Detach":
            try detach(try url(of: call))
            call.succeed()
        default:
            if try !manageObjects(call) { call.reply(VarlinkService.methodNotFound(call.call.method)) }
        }
    }

    /// With what the supervisor knows beside the device itself.
    func status(of device: DriverFunction) -> DeviceStatus {
        var status = device.status
        status.nodes = nodePolicy.nodes(of: device.id)
        status.endpoints = endpoints.of(device.id)
        status.viewers = shownViewers.of(device.id)
        return status
    }

    private func setNodes(_ call: ClientCall) throws(CallError) {
        let device = try device(for: call) { $0.bundle != nil }
        guard let count = call.call.parameters["nodes"]?.intValue, NodePolicy.counts.contains(count) else {
            throw CallError("InvalidParameter", "nodes must be from 0 to \(NodePolicy.counts.upperBound).")
        }
        let unkept = try nodePolicy.choose(device.id, nodes: count)
        tellListeners(device: device.id, event: "nodes", message: "\(device.name) is to have \(count) /dev/videoN.")
        if let unkept { throw CallError("DeviceError", unkept) }
        call.succeed()
    }

    private func capture(_ device: DriverFunction, for call: ClientCall) throws(CallError) {
        guard let recorder = device.recorder else {
            throw CallError("DeviceUnavailable", "\(device.name) has not been driven yet, so it has no transfers.")
        }
        let descriptor: OwnedDescriptor
        do throws(USBError) {
            descriptor = try recorder.readOnlyDescriptor()
        } catch {
            throw CallError("DeviceError", "The flight recorder can't be passed on: \(error)")
        }
        call.reply(
            VarlinkReply([
                "id": .string(device.id), "busNumber": .int(Int64(device.information.busNumber)),
                "deviceNumber": .int(Int64(device.information.deviceNumber)), "descriptors": device.inspection["descriptors"] ?? .null,
            ]), descriptors: [descriptor.number])
    }

    // MARK: Parameters

    func device(for call: ClientCall, suitable: (DriverFunction) -> Bool = { _ in true }) throws(CallError) -> DriverFunction {
        let functions = functions
        let list = functions.map {
            SelectableDevice(
                id: $0.id,
                vendorProduct: DeviceIdentity.hex($0.information.vendorID) + ":" + DeviceIdentity.hex($0.information.productID),
                bus: $0.path,
                name: $0.name, isAttached: $0.isAttached, isSuitable: suitable($0))
        }
        return functions[try DeviceSelection.choose(try text("device", of: call), among: list)]
    }

    func text(_ name: String, of call: ClientCall) throws(CallError) -> String? {
        switch call.call.parameters[name] {
        case nil, .null: return nil
        case .string(let text): return text
        default: throw CallError("InvalidParameter", "\(name) must be a string.")
        }
    }

    private func url(of call: ClientCall) throws(CallError) -> AttachmentURL {
        guard let text = try text("url", of: call) else { throw CallError("InvalidParameter", "url is missing.") }
        do throws(AttachmentURL.ParseError) {
            return try AttachmentURL(text)
        } catch {
            throw CallError("InvalidParameter", error.description)
        }
    }

    func encode(_ value: some Encodable) throws(CallError) -> JSONValue {
        do {
            return try JSONValue(encoding: value)
        } catch {
            throw CallError("DeviceError", "The answer can't be written: \(error)")
        }
    }

    // MARK: Events

    func tellListeners(device: String, event: String, message: String, saying: DeviceSaying? = nil) {
        for listener in listeners { listener.tell(device: device, event: event, message: message, saying: saying) }
    }
}
