// `userdriver setup`: which devices would change hands, and having them do so.

import Bundles
import Glibc
import Logging
import Wire

extension Supervisor {
    /// Answers `SetUp`: what would change, or, once it has changed, what did.
    func setUp(_ call: ClientCall) throws(CallError) {
        guard let choice = SetupChoice(rawValue: try text("take", of: call) ?? "") else {
            throw CallError("InvalidParameter", "take must be all, none or rules.")
        }
        let concerned = functions.filter { changesHands($0, under: choice) != nil }
        let changes = concerned.map { SetUpChange(device: $0.id, name: $0.name, taken: $0.state == .kernel) }
        guard call.call.parameters["apply"]?.boolValue == true else { return call.succeed(["changes": try encode(changes)]) }
        guard ClientRights.of(user: call.peer.userID, daemonUser: geteuid()) == .managing else {
            throw CallError("NotPermitted", "Only root can set up what is taken from the kernel.")
        }
        try policy.checkSetup(is: choice)
        let unkept = policy.forgetChoices()
        var outcome = changes
        // The call itself, beside the devices that are given back.
        var left = 1
        let done: @SupervisorActor () -> Void = { [weak self] in
            left -= 1
            guard left == 0, let self else { return }
            if let unkept { return call.fail(CallError("DeviceError", "Choices for single devices are forgotten. \(unkept)")) }
            do throws(CallError) { call.succeed(["changes": try self.encode(outcome)]) } catch { call.fail(error) }
        }
        for function in functions
        where function.state == .starting && function.source is USBFSSource && !wouldTake(function, under: choice)
            && !concerned.contains(where: { $0 === function })
        {
            // It may be about to take its device: it begins again, and asks anew.
            do throws(CallError) { try function.restart() } catch { function.logger.debug("not restarted: \(error.message)") }
        }
        for (place, function) in concerned.enumerated() {
            guard !changes[place].taken else {
                function.take()
                continue
            }
            left += 1
            function.release { failure in
                outcome[place].failure = failure
                done()
            }
        }
        done()
    }

    /// True for one that is taken then, false for one that is given back, `nil` if it is already
    /// as it is to be.
    private func changesHands(_ function: DriverFunction, under choice: SetupChoice) -> Bool? {
        guard function.isAttached, function.bundle != nil else { return nil }
        let isKernels = function.state == .kernel
        if wouldTake(function, under: choice) { return isKernels ? true : nil }
        return !isKernels && function.source.hasTaken(function.information, function: function.function) ? false : nil
    }

    private func wouldTake(_ function: DriverFunction, under choice: SetupChoice) -> Bool {
        policy.wouldTake(function.id, device: function.device.id, function.subject, under: choice)
    }
}
