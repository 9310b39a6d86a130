export { errorMessage } from '../../shared/error-message.ts';
